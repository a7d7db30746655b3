"""How suspicious each row of a word embedding is: how far it moved, for how often its word occurs.

    score_v = ‖e_v − e0_v‖₂ / log(max(f_v, floor))

The drift of a frequent word grows with the many small steps of clean training; a rare word that moved far is what a
planted trigger looks like. The change of the row's *norm* says nothing: an attack can restore it
(arXiv:2103.15543). Rows that moved by weight decay alone score 0.

Source:
    E-PUR of Zhang, Lyu, Ma, Wang, Sun, "Fine-mixing", Findings of EMNLP 2022, arXiv:2210.09545.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from purify_cli.checkpoint.names import is_word_embedding
from purify_cli.indicators.decay import DecayedRows, RowWatch
from purify_cli.progress import SILENT, Progress
from purify_cli.tensors import CHUNK, TensorSource, TensorSpec

__all__ = ["RowScores", "score_rows", "word_embeddings"]


@final
@dataclass(frozen=True, slots=True)
class RowScores:
    """Scores of all rows of all word embeddings."""

    scores: Mapping[str, Tensor]
    """Tensor name → shape (rows,), float64, ≥ 0."""
    decayed: DecayedRows

    def top(self, count: int) -> list[tuple[str, int, float]]:
        """Return (tensor, row, score) of the ``count`` highest rows, highest first; equal ones by tensor and number."""
        every = [
            (-score, at, row) for at, rows in enumerate(self.scores.values()) for row, score in enumerate(rows.tolist())
        ]
        names = list(self.scores)
        return [(names[at], row, -negative) for negative, at, row in sorted(every)[:count]]


def word_embeddings(source: TensorSource) -> dict[str, TensorSpec]:
    """Return the tensors that hold one row per token of the vocabulary."""
    return {name: spec for name, spec in source.specs.items() if is_word_embedding(name) and len(spec.shape) == 2}


def score_rows(
    suspect: TensorSource,
    reference: TensorSource,
    *,
    counts: Tensor | None,
    floor: float,
    curvature: TensorSource | None = None,
    progress: Progress = SILENT,
) -> RowScores:
    """Score the rows of all word embeddings in one pass.

    Args:
        suspect: Comparable dimensions, stored type.
        reference: The same, cast to that type.
        counts: Shape (n,): how often each token occurs; None or a missing end count as 0.
        floor: Rarer tokens count as this often; > 1.
        curvature: Ĥ; where given, only rows without any can have moved by decay alone.
        progress: Told about tensors.
    """
    watch = RowWatch()
    scores: dict[str, Tensor] = {}
    tables = word_embeddings(suspect)
    for name, spec in progress.track(tables.items(), "comparing embedding rows", total=len(tables)):
        rows, length = spec.shape
        norms = torch.zeros(rows, dtype=torch.float64)
        step = max(1, CHUNK // max(1, length))
        for first in range(0, rows, step) if length else ():
            last = min(first + step, rows)
            new = suspect.read(name, first * length, last * length).view(-1, length)
            old = reference.read(name, first * length, last * length).view(-1, length)
            norms[first:last] = (new.double() - old.double()).norm(dim=1)
            unseen = torch.ones(last - first, dtype=torch.bool)
            if curvature is not None and name in curvature.specs:
                unseen = (curvature.read(name, first * length, last * length).view(-1, length) == 0).all(1)
            watch.update(spec, first, new, old, unseen)
        often = torch.zeros(rows, dtype=torch.float64)
        if counts is not None:
            known = min(rows, len(counts))
            often[:known] = counts[:known]
        scores[name] = norms / often.clamp_min(floor).log()
    decayed = watch.decide()
    for name, marked in decayed.rows.items():
        scores[name].masked_fill_(marked, 0.0)
    return RowScores(scores, decayed)
