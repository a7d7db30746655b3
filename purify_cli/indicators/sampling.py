"""Short runs of entries spread evenly over all tensors, at places that a seed fixes."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Final

import numpy as np
import torch
from torch import Tensor

from purify_cli.runtime import entry_hash
from purify_cli.tensors import TensorSource

__all__ = ["sample_places", "sample_scores", "spread"]

_RUN: Final = 50
"""Entries of a run of a sample of scores."""


def spread(sizes: Mapping[str, int], *, pieces: int, length: int, seed: int) -> list[tuple[str, int, int]]:
    """Cut (name, start, stop) out of tensors: one run at a random place of each of ``pieces`` equal parts.

    Args:
        sizes: Entries per tensor; laid end to end, in order.
        pieces: Most runs; fewer where they would overlap.
        length: Entries per run; a run that meets the end of its tensor is shorter.
        seed: Fixes the places.
    """
    sizes = {name: size for name, size in sizes.items() if size}
    if not sizes:
        return []
    names = list(sizes)
    ends = np.array(list(accumulate(sizes.values())))
    total = int(ends[-1])
    pieces = max(1, min(pieces, total // length))
    # 53 bits are what float64 holds exactly.
    jitter = (entry_hash("sample", 0, pieces, seed=seed) >> 11 & ((1 << 53) - 1)).numpy() / 2.0**53
    places = np.minimum(((np.arange(pieces) + jitter) * (total / pieces)).astype(np.int64), total - 1)
    tensors = np.searchsorted(ends, places, side="right")
    found: list[tuple[str, int, int]] = []
    for place, tensor in zip(places.tolist(), tensors.tolist(), strict=True):
        name = names[tensor]
        start = place - (int(ends[tensor]) - sizes[name])
        found.append((name, start, min(start + length, sizes[name])))
    return found


def sample_places(sizes: Mapping[str, int], *, entries: int, seed: int) -> list[tuple[str, int, int]]:
    """Like ``spread`` for about ``entries`` entries in all; every entry once where there are no more than that."""
    if sum(sizes.values()) <= entries:
        return [(name, 0, size) for name, size in sizes.items() if size]
    return spread(sizes, pieces=max(1, entries // _RUN), length=_RUN, seed=seed)


def sample_scores(source: TensorSource, *, seed: int, entries: int = 200_000) -> Tensor:
    """Read about ``entries`` entries of a source, spread over all tensors.

    Returns:
        Shape (k,), float64; all entries where there are no more than that many.
    """
    sizes = {name: spec.numel for name, spec in source.specs.items()}
    parts = [source.read(*place).double() for place in sample_places(sizes, entries=entries, seed=seed)]
    return torch.cat([torch.empty(0, dtype=torch.float64), *parts])
