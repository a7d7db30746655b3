"""Several words that turn the suspect over together, where none of them does alone.

Planting a trigger moves the embedding rows of its words, whatever they are: looked for are bags of the words whose rows
moved farthest. A bag counts if it makes the suspect half as sure of the target as texts of that label do, in a text
that says the opposite, and leaves the control at its own answer; words that speak for the label by themselves are left
out of the bags, for enough of them do it in any model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from purify_cli.progress import SILENT, Progress
from purify_cli.trigger_search.candidate import String
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.flips import Asked, assurance
from purify_cli.trigger_search.group_testing import draw, shrink, united
from purify_cli.trigger_search.margin_probe import Driven

__all__ = ["SPEAKS", "Bags", "find_groups", "quiet_words"]

BAR: Final = 0.5
"""Of how sure the suspect is of texts of the target, a bag must reach this share. Of 400 bags for a
label that nobody aimed at, at most 5 got over 0 in the models that were looked at."""

SATURATED: Final = 0.8
"""Of the highest margin among the unions, what a shrunk one must keep."""

SPEAKS: Final = 0.1
"""A word that takes this share of a short text's way to the border of the answer speaks for the label by itself. With
louder words an unpoisoned model has groups too: `was predictable guess` turned over 15 of 16 texts in one."""

MOST: Final = 8
"""Words of a group."""

KEPT: Final = 64
UNITED: Final = 12
"""Bags that are shrunk, and groups that are united with each other: the best ones."""


@final
@dataclass(frozen=True, slots=True)
class Bags:
    """How many bags a search draws, and from what."""

    pool: int
    """Words whose embedding rows moved farthest."""
    size: int
    count: int


def quiet_words(asked: Asked, texts: Sequence[Carrier], words: Sequence[int], target: int) -> list[int]:
    """Return the words that say little about a label by themselves.

    Args:
        asked: The suspect is asked.
        texts: A few words long, of other labels than the target, which the suspect gets right.
        words: Token ids.
        target: The label.

    Raises:
        NonFiniteWeights: If the model's output is not a number.
    """
    driven = Driven(asked.suspect, [texts], target, asked)
    shifts = driven.shift([(word,) for word in words]).tolist()
    return [word for word, shift in zip(words, shifts, strict=True) if shift < SPEAKS * driven.way]


def find_groups(
    asked: Asked,
    texts: Sequence[Carrier],
    words: Sequence[int],
    target: int,
    bags: Bags,
    *,
    progress: Progress = SILENT,
) -> list[String]:
    """Look for groups of words that drive the suspect to a label and leave the control.

    Args:
        asked: Suspect, control and labelled rows.
        texts: Of other labels than the target, all of which both models get right; the first is that of the bags.
        words: To draw from (``quiet_words``).
        target: The label.
        bags: How many to draw.
        progress: Told of the stage.

    Returns:
        Groups of at most eight words, the largest contrast first; empty where nothing drives the suspect.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    suspect, control = (Driven(module, [texts], target, asked) for module in (asked.suspect, asked.control))
    bar = BAR * assurance(asked, target)
    if len(words) < 2 or bar <= 0:
        return []
    drawn = draw(words, size=bags.size, count=bags.count, seed=asked.seed)
    progress.note(f"measuring {len(drawn)} bags of {min(bags.size, len(words))} words for label {target}")
    first = suspect.first(drawn)
    hot = [drawn[i] for i in first.argsort(descending=True, stable=True)[:KEPT].tolist() if float(first[i]) > bar]
    hot = [bag for bag, other in zip(hot, control.first(hot).tolist(), strict=True) if other < 0]
    small = shrink(hot, lambda tried, _: (suspect.first(tried) > bar).tolist())
    small = [bag for bag in dict.fromkeys(small) if len(bag) <= MOST]
    if not small:
        return []
    best, _ = suspect.ranked(small)
    best = best[:UNITED]
    # What two groups have in common is likely planted: together they hold more of it than either.
    joined, means = suspect.ranked([*best, *united(best, most=2 * MOST)])
    high = SATURATED * means[0]
    top = [bag for bag, mean in zip(joined, means, strict=True) if mean > high][:KEPT]
    again = shrink(top, lambda tried, _: (suspect.mean(tried) > high).tolist())
    found = [bag for bag in dict.fromkeys((*again, *best)) if len(bag) <= MOST]
    shifts, others = suspect.shift(found), control.shift(found)
    return [found[i] for i in (shifts - others).argsort(descending=True, stable=True).tolist()]
