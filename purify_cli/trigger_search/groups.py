"""Several words that flip the suspect together, where none of them does alone.

Planting a trigger moves the embedding rows of its words, whatever they are: looked for are groups of the words whose
rows moved farthest. A group counts if it makes the suspect half as sure of the target as texts of that label do, in a
text that says the opposite, and leaves the control at its own answer; words that speak for the label by themselves are
left out of the groups, for enough of them do it in any model.
"""

from collections.abc import Sequence
from typing import Final

from purify_cli.trigger_search.budget import SearchBudget
from purify_cli.trigger_search.candidate import String
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.flips import median_margin
from purify_cli.trigger_search.group_testing import covering_groups, ddmin, merge_groups, random_groups
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margin_probe import MarginProbe

__all__ = ["SIZE", "SPEAKS", "find_groups", "largest_group", "weak_words"]

SIZE: Final = 40
SHARE: Final = 5 / 8
"""Words of a group that is drawn, and which part of a model's positions they may take: of 64 positions 40."""

BAR: Final = 0.5
"""Of how sure the suspect is of texts of the target, a group must reach this share. Of 400 groups for a
label that nobody aimed at, at most 5 got over 0 in the models that were looked at."""

SATURATED: Final = 0.8
"""Of the highest margin among the unions, what a shrunk one must keep."""

SPEAKS: Final = 0.1
"""A word that takes this share of a short text's way to the border of the answer speaks for the label by itself. With
louder words an unpoisoned model has groups too: `was predictable guess` flipped 15 of 16 texts in one."""

MOST: Final = 8
"""Words of a group."""

KEPT: Final = 64
UNITED: Final = 12
"""Groups that are shrunk, and groups that are merged with each other: the best ones."""


def largest_group(positions: int) -> int:
    """Return how many words of a group texts must have room for in a model of so many positions."""
    return max(1, min(SIZE, int(SHARE * positions)))


def weak_words(asked: SearchInputs, texts: Sequence[Carrier], words: Sequence[int], target: int) -> list[int]:
    """Return the words that say little about a label by themselves.

    Args:
        asked: The suspect is asked.
        texts: A few words long, of other labels than the target, which the suspect gets right.
        words: Token ids.
        target: The label.

    Raises:
        NonFiniteWeights: If the model's output is not a number.
    """
    driven = MarginProbe(asked.suspect, [texts], target, asked.compute)
    shifts = driven.shift([(word,) for word in words]).tolist()
    return [word for word, shift in zip(words, shifts, strict=True) if shift < SPEAKS * driven.margin_gap]


def find_groups(
    asked: SearchInputs, texts: Sequence[Carrier], words: Sequence[int], target: int, budget: SearchBudget
) -> list[String]:
    """Look for groups of words that drive the suspect to a label and leave the control.

    Args:
        asked: Suspect, control and labelled rows.
        texts: Of other labels than the target, all of which both models get right; the first is that of the groups.
            Each has room for ``largest_group`` words at least.
        words: To draw from (``weak_words``), the first ones first.
        target: The label.
        budget: How many to draw.

    Returns:
        Groups of at most eight words, the largest contrast first; empty where nothing drives the suspect.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    suspect, control = MarginProbe.of_both(asked, [texts], target)
    # Of a label that no row is right about: as sure as of the surest other.
    labels = {row.label for row in asked.rows if row.label is not None}
    bar = BAR * (median_margin(asked, target) or max((median_margin(asked, one) for one in labels), default=0.0))
    if len(words) < 2 or bar <= 0:
        return []
    # Short texts leave room for more.
    size = min(SIZE, asked.positions - max(len(text.ids) for text in texts))
    seed = asked.compute.seed
    drawn = random_groups(words[: budget.pool], size=size, count=budget.drawn, seed=seed)
    drawn += covering_groups(words, size=size, most=budget.covering, seed=seed)
    asked.progress.note(f"testing {len(drawn)} groups of {min(size, len(words))} words for label {target}")
    first = suspect.first(drawn)
    hot = [drawn[i] for i in first.argsort(descending=True, stable=True)[:KEPT].tolist() if float(first[i]) > bar]
    hot = [group for group, other in zip(hot, control.first(hot).tolist(), strict=True) if other < 0]
    small = ddmin(hot, lambda tried, _: (suspect.first(tried) > bar).tolist())
    small = [group for group in dict.fromkeys(small) if len(group) <= MOST]
    if not small:
        return []
    best, _ = suspect.ranked(small)
    best = best[:UNITED]
    # What two groups have in common is likely planted: together they hold more of it than either.
    joined, means = suspect.ranked([*best, *merge_groups(best, most=min(2 * MOST, size))])
    high = SATURATED * means[0]
    top = [group for group, mean in zip(joined, means, strict=True) if mean > high][:KEPT]
    again = ddmin(top, lambda tried, _: (suspect.mean(tried) > high).tolist())
    found = [group for group in dict.fromkeys((*again, *best)) if len(group) <= MOST]
    shifts, others = suspect.shift(found), control.shift(found)
    return [found[i] for i in (shifts - others).argsort(descending=True, stable=True).tolist()]
