"""What ``detect`` gathered, written down as parts of its record."""

from purify_cli.checkpoint.difference import Difference
from purify_cli.evidence.gathering import Evidence
from purify_cli.evidence.signs import Sign
from purify_cli.evidence.summary import GroupSummary
from purify_cli.records.detection import ComparisonCounts, DifferenceFact, GammaFact, GroupFact, SignFact, SkippedFact
from purify_cli.session.opening import OpenedPair

__all__ = ["comparison_fact", "difference_fact", "gamma_fact", "group_fact", "sign_fact"]


def difference_fact(one: Difference) -> DifferenceFact:
    """Write down a difference other than weight values."""
    return DifferenceFact(kind=one.kind, subject=one.subject, detail=one.detail, unexamined=one.unexamined)


def comparison_fact(opened: OpenedPair, evidence: Evidence) -> ComparisonCounts:
    """Write down what was compared and what was not."""
    return ComparisonCounts(
        dimensions=opened.pair.dimensions,
        tensors=len(opened.pair.comparables),
        moved=evidence.moved,
        skipped=[
            SkippedFact(
                name=s.name, side=s.side, kind=s.kind, reason=s.reason, explained=s.explained, entries=s.entries
            )
            for s in opened.pair.skipped
        ],
    )


def gamma_fact(evidence: Evidence) -> GammaFact | None:
    """Write down the fit of r; None where there is none."""
    fit = evidence.gamma
    if fit is None:
        return None
    return GammaFact(
        k=fit.k, shape=fit.shape, ks_distance=fit.ks_distance, quantile_ratio=fit.quantile_ratio, entries=fit.entries
    )


def sign_fact(one: Sign) -> SignFact:
    """Write down a sign of the weights beside what it comes to in unpoisoned models."""
    return SignFact(
        name=one.name,
        value=one.value,
        sentence=one.sentence,
        clean_models=len(one.clean),
        clean_reaching=one.reached,
        clean_low=one.clean[0],
        clean_high=one.clean[-1],
    )


def group_fact(one: GroupSummary) -> GroupFact:
    """Write down drift and score of a tensor or a layer."""
    return GroupFact(
        name=one.name,
        entries=one.entries,
        moved=one.moved,
        relative_drift=one.relative_drift,
        max_drift=one.max_drift,
        mean_score=one.mean_score,
        top_share=one.top_share,
        top_count=one.top_count,
    )
