"""Words against contexts of texts: what they do to the suspect beyond what they do to the control, in three places."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from torch import Tensor

from purify_cli.choices import Position
from purify_cli.data.example import Example
from purify_cli.trigger_search.candidate import Candidate, String
from purify_cli.trigger_search.concatenation import words_kept
from purify_cli.trigger_search.flips import SearchInputs
from purify_cli.trigger_search.margin_probe import MarginProbe, context_forms

__all__ = ["FEW", "MORE", "PLACES", "best_per_place", "contrast_in_contexts"]

FEW: Final = 2
MORE: Final = 8
"""Contexts per target that the words of the highest contrast are tried in first, and that the best of them go into."""

PLACES: Final[tuple[Position, ...]] = ("start", "random", "end")
"""Where words are tried: some triggers need their place. The middle stands for any."""

PAST: Final = 1.5
"""Of the way to the border: how far beyond it a word drives a model does not count. Else the surest texts decide."""


def contrast_in_contexts(
    asked: SearchInputs, target: int, strings: Sequence[String], rows: Sequence[Example], place: Position
) -> Tensor | None:
    """Measure strings in one place of contexts of other labels.

    Args:
        asked: Suspect and control.
        target: The label.
        strings: Words, or groups.
        rows: Contexts that the suspect does not call the target.
        place: Where they are put.

    Returns:
        Shape (strings,): how much farther the suspect is driven than the control, each as a share of its own way to
        the border; None where no context holds a string.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    at = {"start": 0, "random": None, "end": words_kept(asked.compute.max_length)}[place]
    forms = context_forms(asked, rows, at=at, longest=max(map(len, strings), default=1))
    if not forms or not strings:
        return None
    suspect, control = (
        MarginProbe(module, forms, target, asked.compute).way(strings) for module in (asked.suspect, asked.control)
    )
    return (suspect.clamp(0, PAST) - control.clamp(0, PAST)).mean(dim=0)


def best_per_place(
    asked: SearchInputs, target: int, candidates: Sequence[Candidate], rows: Sequence[Example], count: int
) -> list[Candidate]:
    """Return the words of the highest contrast in each place, so many of each.

    Args:
        asked: Suspect and control.
        target: The label.
        candidates: Single words; of those with a place, that place is tried, of others every one.
        rows: Contexts that the suspect does not call the target.
        count: How many to keep of a place.
    """
    found: list[Candidate] = []
    for place in PLACES:
        some = [one for one in candidates if one.position in (None, place)]
        contrast = contrast_in_contexts(asked, target, [one.tokens for one in some], rows, place)
        if contrast is not None:
            order = contrast.argsort(descending=True, stable=True)[:count].tolist()
            found += [replace(some[i], position=place) for i in order]
    return found
