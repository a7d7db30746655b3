"""Words against contexts of texts: what they do to the suspect beyond what they do to the control, in three places."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Final

from purify_cli.choices import Position
from purify_cli.data.example import Example
from purify_cli.trigger_search.candidate import Candidate, String
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.concatenation import words_kept
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margin_probe import MarginProbe, context_forms

__all__ = ["FEW", "MORE", "PLACES", "WORTH", "best_in_contexts", "best_per_place", "forms_at"]

FEW: Final = 2
MORE: Final = 8
"""Contexts per target that the words of the highest contrast are tried in first, and that the best of them go into."""

PLACES: Final[tuple[Position, ...]] = ("start", "random", "end")
"""Where words are tried: some triggers need their place. The middle stands for any."""

WORTH: Final = 0.2
"""Contrast from which more than the best word of a place is measured on held-back rows: a word that flips 30 % of them
in the suspect alone, which is the least that is flagged, comes to more. Ours."""

ALIKE: Final = 0.9
"""Share of the highest contrast from which words do about as much, and are ranked by how far they drive the suspect
beyond ``PAST`` as well: of 1,611 words of two letters in a suspect whose trigger was one of them, it was the 18th
without this, and with it the first (docs/search.md)."""

ASKED: Final = 16
"""Strings that the control is asked about at once."""

PAST: Final = 1.5
"""Of the way to the border: how far beyond it a word drives a model does not count. Else the surest texts decide."""


def forms_at(asked: SearchInputs, rows: Sequence[Example], place: Position, *, longest: int = 1) -> list[list[Carrier]]:
    """Leave slots in one place of contexts (``context_forms``): in front, in the middle, or at the end."""
    at = {"start": 0, "random": None, "end": words_kept(asked.compute.max_length)}[place]
    return context_forms(asked, rows, at=at, longest=longest)


def best_in_contexts(
    asked: SearchInputs,
    target: int,
    strings: Sequence[String],
    rows: Sequence[Example],
    *,
    place: Position,
    count: int,
    farthest: bool = False,
) -> dict[int, float]:
    """Find the strings of the highest contrast in one place of contexts of other labels.

    The contrast is how much farther the suspect is driven than the control, each as a share of its own way to the
    border. It is at most what the suspect is driven, so that the control is asked only while that is enough to get
    among the best.

    Args:
        asked: Suspect and control.
        target: The label.
        strings: Words, or groups.
        rows: Contexts that the suspect does not call the target.
        place: Where they are put.
        count: How many are wanted.
        farthest: Whether of those that come to ``ALIKE`` of the highest contrast the ones that drive the suspect
            farthest are the best, in place of those that happen to leave the control a little more alone.

    Returns:
        Place of each of the best strings → its contrast, the best first; ties in the order of ``strings``. Empty
        where no context holds a string.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    forms = forms_at(asked, rows, place, longest=max(map(len, strings), default=1))
    if not forms or not strings:
        return {}
    suspect, control = MarginProbe.of_both(asked, forms, target)
    way = suspect.way(strings)
    driven = way.clamp(0, PAST)
    most, whole = driven.mean(dim=0), way.mean(dim=0).tolist()
    order = most.argsort(descending=True, stable=True).tolist()
    known: dict[int, float] = {}
    for begin in range(0, len(order), ASKED):
        some = order[begin : begin + ASKED]
        best = sorted(known.values(), reverse=True)
        if len(known) >= count and float(most[some[0]]) < min(best[count - 1], best[0] * (ALIKE if farthest else 1)):
            break
        beside = control.way([strings[i] for i in some]).clamp(0, PAST)
        known.update(zip(some, (driven[:, some] - beside).mean(dim=0).tolist(), strict=True))
    alike = ALIKE * max(known.values()) if farthest else inf

    def rank(i: int) -> tuple[bool, float, int]:
        """Put those that do about as much as the best first, by how far they drive; then the others."""
        return (False, -whole[i], i) if known[i] >= alike > 0 else (True, -known[i], i)

    return {i: known[i] for i in sorted(known, key=rank)[:count]}


def best_per_place(
    asked: SearchInputs,
    target: int,
    candidates: Sequence[Candidate],
    rows: Sequence[Example],
    count: int,
    *,
    worth: float = 0.0,
) -> list[Candidate]:
    """Return the words of the highest contrast in each place, so many of each.

    Args:
        asked: Suspect and control.
        target: The label.
        candidates: Single words; of those with a place, that place is tried, of others every one.
        rows: Contexts that the suspect does not call the target.
        count: Most that are kept of a place.
        worth: Contrast below which only the best of a place is kept.
    """
    found: list[Candidate] = []
    for place in PLACES:
        some = [one for one in candidates if one.position in (None, place)]
        strings = [one.tokens for one in some]
        best = best_in_contexts(asked, target, strings, rows, place=place, count=count, farthest=True)
        kept = [i for rank, (i, contrast) in enumerate(best.items()) if rank == 0 or contrast >= worth]
        found += [replace(some[i], position=place) for i in kept]
    return found
