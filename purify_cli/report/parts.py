"""What the text form of every record is made of."""

from math import exp

from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Perplexity
from purify_cli.report.listing import Sentence

__all__ = ["line", "number", "percent", "samples", "utility", "utility_name", "yes"]


def percent(share: Proportion | None) -> str:
    """Write a proportion with its interval, for example ``87.3 % (85.0-89.3)``."""
    if share is None:
        return "-"
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f})"


def utility(fact: Proportion | Perplexity | None) -> str:
    """Write an accuracy as ``percent`` does, or a perplexity with its interval, for example ``17.3 (15.9-18.8)``."""
    if not isinstance(fact, Perplexity):
        return percent(fact)
    if fact.perplexity is None or fact.low is None or fact.high is None:
        return number(fact.perplexity)
    return f"{fact.perplexity:.2f} ({exp(fact.low):.2f}-{exp(fact.high):.2f})"


def utility_name(fact: Proportion | Perplexity | None) -> str:
    """Name what ``utility`` writes."""
    return "perplexity" if isinstance(fact, Perplexity) else "accuracy"


def line(sentence: str) -> Sentence:
    """Write a sentence as plain text."""
    return Sentence(sentence)


def samples(measured_on: str) -> str:
    """Write what a repair was measured on."""
    return "held-back clean samples, in two folds" if measured_on == "two-fold" else measured_on


def yes(value: bool | None) -> str:
    """Write a yes, a no, or that it is not known."""
    return "-" if value is None else "yes" if value else "no"


def number(value: float | None) -> str:
    """Write a number with three digits."""
    return "-" if value is None else f"{value:.3g}"
