"""Word-embedding rows that drifted far: a trigger word is often one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch

from purify_cli.checkpoint.names import is_word_embedding
from purify_cli.drift import drift
from purify_cli.indicators.decay import DecayedRows
from purify_cli.tensors import CHUNK, TensorSource

__all__ = ["EmbeddingRow", "far_rows"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRow:
    """A row of the word embedding that drifted far."""

    row: int
    """Number of the row, which is the token's id."""
    token: str
    drift_norm: float
    """‖δ‖₂ of the row. The change of the row's norm would say nothing: an attack can restore it."""
    seen: bool | None
    """Whether clean data gave the row any curvature; null without curvature."""


def far_rows(
    suspect: TensorSource,
    reference: TensorSource,
    *,
    curvature: TensorSource | None = None,
    decayed: DecayedRows | None = None,
    token_of: Callable[[int], str] = str,
    count: int = 50,
) -> tuple[EmbeddingRow, ...]:
    """Rank the rows of all word embeddings by how far they moved, in one pass.

    Args:
        suspect: Comparable dimensions.
        reference: The same, cast to the suspect's types.
        curvature: Ĥ, to say which rows clean data uses.
        decayed: Rows moved by weight decay alone; they are left out.
        token_of: Row number → token.
        count: How many rows to return at most.

    Returns:
        The rows that moved furthest, furthest first; equal ones by number.

    Source:
        Drift norm as in E-PUR, arXiv:2210.09545, without its division by word frequency.
    """
    moves = drift(suspect, reference)
    found: list[tuple[float, int, str]] = []
    for name, spec in suspect.specs.items():
        if not is_word_embedding(name) or len(spec.shape) != 2:
            continue
        rows, length = spec.shape
        step = max(1, CHUNK // length)
        norms = torch.cat(
            [
                moves.read(name, at * length, min(at + step, rows) * length).double().view(-1, length).norm(dim=1)
                for at in range(0, rows, step)
            ]
        )
        if decayed is not None and name in decayed.rows:
            norms.masked_fill_(decayed.rows[name], 0.0)
        order = torch.argsort(norms, descending=True, stable=True)[:count].tolist()
        found += [(-float(norms[row]), row, name) for row in order if float(norms[row]) > 0]
    return tuple(
        EmbeddingRow(
            row=row,
            token=token_of(row),
            drift_norm=-negative,
            seen=_seen(curvature, name, row, suspect.specs[name].shape[1]),
        )
        for negative, row, name in sorted(found)[:count]
    )


def _seen(curvature: TensorSource | None, name: str, row: int, length: int) -> bool | None:
    if curvature is None:
        return None
    return name in curvature.specs and bool((curvature.read(name, row * length, (row + 1) * length) > 0).any())
