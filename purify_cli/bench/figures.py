"""How well a score points at dimensions that are known to be changed: mean rank, hits among the first, AUROC.

Ranks count from 1 (most suspicious) in the order of resetting (``Indicator``). Entries of equal score share the mean of
their ranks, and are counted as found by the part of them that the cut takes in, which is what the hashed order of
ties amounts to in the mean. Scores are streamed; held are the changed entries' alone.
"""

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from purify_cli.errors import DataError
from purify_cli.selection.mask import Mask
from purify_cli.selection.order import sort_keys
from purify_cli.tensors import TensorSource, chunks, total_entries

__all__ = ["CUTS", "detection_figures"]

CUTS: Final = (0.01, 0.001)
"""Shares of all dimensions: H@1%, H@0.1%."""


def detection_figures(scores: TensorSource, planted: Mask) -> dict[str, Any]:
    """Rank the planted dimensions P among all d.

    Args:
        scores: float32 in the encoding of ``Indicator``; read twice.
        planted: Over the same names and shapes.

    Returns:
        ``planted``: |P|. ``dimensions``: d. ``mean_rank``: MR%, the mean of 100 · rank / d over P; 50 for a random
        order, lower is better. ``hits``, per cut k: the share of P among the first k · d; k for a random order.
        ``best_hits``, per cut: the largest share possible, min(1, k · d / |P|). ``auroc``: probability that a changed
        dimension scores above another one, ties by half; 0.5 for a random order.

    Raises:
        DataError: If the mask is over other tensors, or selects no dimension or all of them.
    """
    if {n: s.shape for n, s in scores.specs.items()} != {n: s.shape for n, s in planted.specs.items()}:
        raise DataError("the planted dimensions are of another model", hint="Make the suspect again.")
    total = total_entries(scores)
    held = [
        _keys(chunk)[planted.read(name, start, start + chunk.numel()).numpy()]
        for name, start, chunk in chunks(scores)
        if planted.any_in(name, start, start + chunk.numel())
    ]
    own = np.concatenate(held) if held else np.empty(0, np.int32)
    if not 0 < own.size < total:
        raise DataError(
            f"{own.size} of {total} dimensions are planted, so there is nothing to tell apart",
            hint="Detection figures need an attack that changes some dimensions and leaves others.",
        )
    values, counts = np.unique(own, return_counts=True)
    # below[i]: entries with values[i − 1] ≤ score < values[i]; equal[i]: entries that share values[i].
    below = np.zeros(values.size + 1, np.int64)
    equal = np.zeros(values.size, np.int64)
    for _, _, chunk in chunks(scores):
        keys = _keys(chunk)
        place = np.searchsorted(values, keys, side="right")
        below += np.bincount(place, minlength=values.size + 1)
        hit = place > 0
        same = values[place[hit] - 1] == keys[hit]
        equal += np.bincount(place[hit][same] - 1, minlength=values.size)
    above = total - np.cumsum(below)[:-1] - equal
    rank = above + (equal + 1) / 2
    own_above = own.size - np.cumsum(counts)
    # Of the entries that are not planted: how many a value beats, ties by half.
    others = total - own.size
    rest_above, rest_equal = above - own_above, equal - counts
    beaten = others - rest_above - rest_equal / 2
    hits: dict[str, float] = {}
    for cut in CUTS:
        taken = np.clip((round(cut * total) - above) / equal, 0.0, 1.0)
        hits[str(cut)] = float((taken * counts).sum() / own.size)
    return {
        "planted": int(own.size),
        "dimensions": total,
        "mean_rank": float((100 * rank / total * counts).sum() / own.size),
        "hits": hits,
        "best_hits": {str(cut): min(1.0, round(cut * total) / own.size) for cut in CUTS},
        "auroc": float((beaten * counts).sum() / own.size / others),
    }


def _keys(chunk: Tensor) -> np.ndarray:
    return sort_keys(chunk.to(torch.float32))
