"""The exact global threshold: the last dimension that is still selected."""

from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from purify_cli.progress import SILENT, Progress
from purify_cli.selection.bracketing import Located, around_quantile, locate
from purify_cli.selection.order import ABOVE_ALL, LOWEST, sort_keys, tie_hashes
from purify_cli.selection.sweep import Bracket, Keys, Pending, Sink, sweep
from purify_cli.tensors import TensorSource, total_entries

__all__ = ["Threshold", "choose", "find_threshold", "find_with_pending", "selected"]

_SCORES: Final = Bracket(LOWEST, ABOVE_ALL)
_HASHES: Final = Bracket(-(1 << 63) + 1, (1 << 63) - 1)
"""Tie hashes with both ends cut off: the lowest integer stands for "below the tied score", the highest for "above"."""
_HASH_SIGMAS: Final = 8.0


@final
@dataclass(frozen=True, slots=True)
class Threshold:
    """The last selected dimension in the order (score, tie hash, name, index); all before it are selected too."""

    key: int
    """Its sort key (``order.sort_keys``)."""
    tie_hash: int
    name: str
    index: int


def choose(threshold: Threshold, name: str, indices: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Say of scattered entries of one tensor whether they are selected.

    Args:
        threshold: Where selection ends.
        name: The tensor's name.
        indices: Shape (k,), positions in the whole tensor.
        keys: Shape (k,), their sort keys.

    Returns:
        Shape (k,), bool.
    """
    chosen = keys > threshold.key
    ties = np.flatnonzero(keys == threshold.key)
    if len(ties):
        at = indices[ties]
        hashes = tie_hashes(name, at)
        last = (at <= threshold.index) if name == threshold.name else np.full(len(ties), name < threshold.name)
        chosen[ties] = (hashes > threshold.tie_hash) | ((hashes == threshold.tie_hash) & last)
    return chosen


def selected(threshold: Threshold, name: str, start: int, scores: Tensor) -> Tensor:
    """Apply a threshold to one chunk of scores.

    Args:
        threshold: From ``find_threshold`` over all scores.
        name: The tensor's name.
        start: Index of the chunk's first entry in its tensor.
        scores: Shape (n,), float32; left as they are.

    Returns:
        Shape (n,), bool.
    """
    keys = sort_keys(scores.clone())
    return torch.from_numpy(choose(threshold, name, np.arange(start, start + len(keys)), keys))


def _last_tie(located: Located) -> tuple[int, str, int]:
    """Order the ties of the located key; return hash, tensor and index of the last one that is selected."""
    assert located.pending is not None  # only called where entries were kept
    ties = [(p.name, p.indices[p.keys == located.key]) for p in located.pending]
    hashes = [tie_hashes(name, indices) for name, indices in ties]
    pooled = np.concatenate(hashes)
    last = np.partition(pooled, len(pooled) - located.rank)[len(pooled) - located.rank]
    alike = sorted(
        (name, int(index))
        for (name, indices), found in zip(ties, hashes, strict=True)
        for index in indices[found == last]
    )
    name, index = alike[located.rank - int(np.count_nonzero(pooled > last)) - 1]
    return int(last), name, index


def _tie_keys(keys: Keys, tied: int) -> Keys:
    """Turn score keys into keys that rank the entries of one score by their tie hash."""

    def read(name: str, start: int, stop: int) -> np.ndarray:
        found = keys(name, start, stop)
        ranked = np.full(len(found), _HASHES.low - 1, dtype=np.int64)
        ranked[found > tied] = _HASHES.high
        at = np.flatnonzero(found == tied)
        ranked[at] = np.clip(tie_hashes(name, at + start), _HASHES.low, _HASHES.high - 1)
        return ranked

    return read


def find_threshold(scores: TensorSource, count: int, *, progress: Progress = SILENT) -> Threshold:
    """Find the last of the ``count`` dimensions that rank first, exactly, in bounded memory.

    Args:
        scores: float32, finite; read once or twice from end to end (see the package).
        count: 1 ≤ count ≤ all entries.
        progress: Told about chunks.

    Raises:
        ValueError: If the count is out of range, or a score is NaN or infinite.
    """
    return find_with_pending(scores, count, progress=progress)[0]


def find_with_pending(
    scores: TensorSource, count: int, *, progress: Progress = SILENT, sink: Sink | None = None
) -> tuple[Threshold, tuple[Pending, ...]]:
    """Like ``find_threshold``; also return the selected entries that the sink was not told about.

    The sink is told which entries are certainly selected, for callers that want the mask of the same pass; it is told
    anew in each pass, so the last one counts.
    """
    sizes = {name: spec.numel for name, spec in scores.specs.items() if spec.numel}
    if not 1 <= count <= total_entries(scores):
        raise ValueError(f"cannot select {count} of {total_entries(scores)} dimensions")

    def keys(name: str, start: int, stop: int) -> np.ndarray:
        return sort_keys(scores.read(name, start, stop))

    guess = around_quantile(keys, sizes, count, _SCORES)
    located = locate(partial(sweep, keys, sizes, progress=progress, sink=sink), count, guess, _SCORES)
    key, pending = located.key, located.pending
    if pending is None:
        guess, ties = _hash_bracket(located.rank, located.equal), _tie_keys(keys, key)
        located = locate(partial(sweep, ties, sizes, progress=progress, sink=sink), count, guess, _HASHES)
        assert located.pending is not None  # 64-bit hashes within one tensor never repeat
        pending = tuple(Pending(p.name, p.indices, np.full_like(p.keys, key)) for p in located.pending)
    threshold = Threshold(key, *_last_tie(located))
    return threshold, tuple(
        Pending(p.name, p.indices[chosen], p.keys[chosen])
        for p in pending
        for chosen in [choose(threshold, p.name, p.indices, p.keys)]
    )


def _hash_bracket(rank: int, equal: int) -> Bracket:
    """Guess the rank-th largest of ``equal`` uniform 64-bit hashes."""
    share = rank / equal
    margin = _HASH_SIGMAS * sqrt(share * (1 - share) / equal) + _HASH_SIGMAS / equal
    span = _HASHES.high - _HASHES.low
    high = _HASHES.high - max(0, int((share - margin) * span))
    low = max(_HASHES.low, _HASHES.high - int((share + margin) * span))
    return Bracket(low, high)
