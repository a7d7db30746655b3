"""A word, or several, that may be a trigger."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, final

from purify_cli.choices import Position

__all__ = ["Candidate", "String", "varied"]

T = TypeVar("T")

String: TypeAlias = tuple[int, ...]
"""Token ids of words, in the order in which they are put into a text."""


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """Words that move the suspect to a label."""

    tokens: String
    shift: float
    """How much they raise the suspect's margin of the target: mean over short texts of other labels, in nats."""
    control_shift: float
    """The same in the control."""
    position: Position | None = None
    """Where in a text it works best; None where that is not known yet."""


def varied(ranked: Sequence[T], effect: Callable[[T], Hashable], most: int) -> list[T]:
    """Put what has an effect that so many before it have already behind all others, in order."""
    taken: Counter[Hashable] = Counter()
    first: list[T] = []
    later: list[T] = []
    for one in ranked:
        taken[effect(one)] += 1
        (first if taken[effect(one)] <= most else later).append(one)
    return [*first, *later]
