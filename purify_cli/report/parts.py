"""What the text form of every record is made of."""

from purify_cli.records.base import ProportionFact
from purify_cli.report.listing import Sentence

__all__ = ["line", "number", "percent", "samples", "yes"]


def percent(share: ProportionFact | None) -> str:
    """Write a proportion with its interval, for example ``87.3 % (85.0-89.3)``."""
    if share is None:
        return "-"
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f})"


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
