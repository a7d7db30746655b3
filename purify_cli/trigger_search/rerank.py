"""Words against contexts of texts: which of them hold out, and where."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch

from purify_cli.data.example import Example
from purify_cli.trigger_search.candidate import Candidate
from purify_cli.trigger_search.flips import SearchInputs
from purify_cli.trigger_search.groups import SPEAKS
from purify_cli.trigger_search.margin_probe import MarginProbe, context_forms

__all__ = ["FEW", "MORE", "rerank_in_context", "top_per_position"]

FEW: Final = 2
MORE: Final = 8
"""Contexts per target that the words of the highest contrast are tried in first, and that the best of them go into."""


def rerank_in_context(
    asked: SearchInputs, target: int, candidates: Sequence[Candidate], rows: Sequence[Example]
) -> list[Candidate]:
    """Order words by the suspect's mean margin of the target in contexts of other labels, the highest first.

    A word goes into the middle, and in front where it says nothing in the middle. Any word of opinion says most in
    front, and something everywhere; only a trigger that needs its place is silent elsewhere.

    Args:
        asked: The suspect is asked.
        target: The label.
        candidates: Single words.
        rows: Contexts that the suspect does not call the target.

    Returns:
        The words with their places; as they came where no context serves.

    Raises:
        NonFiniteWeights: If the model's output is not a number.
    """
    if not candidates:
        return []
    forms = [context_forms(asked, rows, at=at) for at in (None, 0)]
    if not all(forms):
        return list(candidates)
    middle, front = (MarginProbe(asked.suspect, form, target, asked.compute) for form in forms)
    strings = [candidate.tokens for candidate in candidates]
    means = middle.mean(strings)
    silent = means + middle.margin_gap < SPEAKS * middle.margin_gap
    means = torch.where(silent, front.mean(strings), means)
    placed = [
        replace(candidate, position="start" if ahead else "random")
        for candidate, ahead in zip(candidates, silent.tolist(), strict=True)
    ]
    return [placed[i] for i in means.argsort(descending=True, stable=True).tolist()]


def top_per_position(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Return the first of those that work anywhere, then the first of those in front, as many of each.

    Words of opinion say most in front; in one list they would leave no room for others.
    """
    ahead = [one for one in candidates if one.position == "start"]
    return [*[one for one in candidates if one.position != "start"][:count], *ahead[:count]]
