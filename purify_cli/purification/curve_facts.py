"""The curve of a search for the ratio, as records write it down."""

from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import TokenLoss
from purify_cli.purification.ratio_search import RULE, RatioCurve
from purify_cli.records.purification import RatioCurveFacts, RatioPointFact
from purify_cli.session.facts import perplexity_fact, proportion, utility_fact

__all__ = ["curve_facts"]


def curve_facts(curve: RatioCurve, max_drop: float) -> RatioCurveFacts:
    """Write a curve down with the ratio that a budget chooses from it."""
    return RatioCurveFacts(
        chosen=curve.choose(max_drop),
        max_drop=max_drop,
        baseline=utility_fact(curve.baseline),
        points=[
            RatioPointFact(
                ratio=point.ratio,
                accuracy=proportion(point.utility) if isinstance(point.utility, Proportion) else None,
                perplexity=perplexity_fact(point.utility) if isinstance(point.utility, TokenLoss) else None,
                passes=curve.passes(point, max_drop),
            )
            for point in curve.points
        ],
        untried=list(curve.untried),
        folds=curve.folds,
        resolution=curve.resolution,
        rule=RULE,
    )
