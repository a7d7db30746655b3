"""Words against piles of texts: which of them hold out, and where."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch

from purify_cli.data.example import Example
from purify_cli.inversion.candidate import Candidate
from purify_cli.inversion.carriers import carrier
from purify_cli.inversion.groups import SPEAKS
from purify_cli.inversion.margins import margins, slot_logits
from purify_cli.inversion.measured import Asked
from purify_cli.inversion.piles import words_kept

__all__ = ["FEW", "standing_order"]

FEW: Final = 4
"""Piles per target that the words of the highest contrast are tried in first; the best go into all of them."""


def standing_order(
    asked: Asked, target: int, candidates: Sequence[Candidate], rows: Sequence[Example], probes: tuple[int, int]
) -> list[Candidate]:
    """Order words by the suspect's mean margin of the target in piles of other labels, the highest first.

    A word goes into the middle, and in front where it says nothing in the middle. Any word of opinion says most in
    front, and something everywhere; only a trigger that needs its place is silent elsewhere.

    Args:
        asked: The suspect is asked.
        target: The label.
        candidates: Single words.
        rows: Piles that the suspect does not call the target.
        probes: As for ``carrier``.

    Returns:
        The words with their places; as they came where no pile serves.

    Raises:
        NonFiniteWeights: If the model's output is not a number.
    """
    if not candidates:
        return []
    middle, front = (_means(asked, target, candidates, rows, probes, at=at) for at in (None, 0))
    if middle is None or front is None:
        return list(candidates)
    silent = middle[1:] - middle[0] < SPEAKS * -middle[0]
    means = torch.where(silent, front[1:], middle[1:])
    placed = [
        replace(candidate, position="start" if ahead else "random")
        for candidate, ahead in zip(candidates, silent.tolist(), strict=True)
    ]
    return [placed[i] for i in means.argsort(descending=True, stable=True).tolist()]


def _means(
    asked: Asked,
    target: int,
    candidates: Sequence[Candidate],
    rows: Sequence[Example],
    probes: tuple[int, int],
    *,
    at: int | None,
) -> torch.Tensor | None:
    """Return the suspect's mean margin of the target in rows, and with each word in a place; None where none fits.

    Of pairs the lesser of two: with the word in the second text, and in both (``flips``).
    """
    pairs = any(row.pair is not None for row in rows)
    strings = torch.tensor([candidate.tokens for candidate in candidates])
    means: list[torch.Tensor] = []
    for both in (False, True) if pairs else (False,):
        cut = [
            carrier(
                asked.tokenizer,
                row,
                probes,
                words=words_kept(asked.max_length),
                at=at,
                max_length=asked.max_length,
                both=both,
            )
            for row in rows
        ]
        texts = [one for one in cut if one is not None]
        if not texts:
            return None
        scores = [
            slot_logits(asked.suspect, texts, one, device=asked.device, dtype=asked.dtype)
            for one in (strings[:1, :0], strings)
        ]
        means.append(margins(torch.cat(scores, dim=1), target).mean(dim=0))
    return torch.stack(means).amin(dim=0)
