"""One pass over all sort keys: count what is above a bracket, keep or histogram what is inside.

Chunks are worked through by a few threads, one chunk per thread at a time: reading, scoring and comparing of different
chunks overlap, and torch's own threads are switched off meanwhile, because a parallel loop over 1 MiB waits for its
slowest thread longer than the loop takes on a busy machine.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar, final

import numpy as np
import torch

from purify_cli.progress import Progress

__all__ = ["CAPACITY", "PIECE", "Bracket", "Keys", "Pending", "Sink", "Tally", "in_threads", "sweep"]

T = TypeVar("T")
U = TypeVar("U")

PIECE: Final = 1 << 18
"""Entries per chunk, a multiple of 8 (mask bytes). 1 MiB of float32: chunk and temporaries stay in a second-level
cache of 2 MiB; measured twice as fast per entry as chunks of 4 MiB."""

CAPACITY: Final = 1 << 22
"""Entries inside a bracket kept one by one: about 50 MB."""

_MAX_THREADS: Final = 8
"""More threads than this wait for Python's lock, and each holds about 8 MiB."""

_BIN_BITS: Final = 16
"""A bracket is split into at most 2^16 + 1 bins: two levels tell all 32-bit keys apart."""

Keys = Callable[[str, int, int], np.ndarray]
"""(name, start, stop) → sort keys, signed integers."""
Sink = Callable[[str, int, np.ndarray], None]
"""(name, start, booleans): told for every chunk which entries are certainly above the bracket."""


@final
@dataclass(frozen=True, slots=True)
class Bracket:
    """Keys from ``low`` to just below ``high``."""

    low: int
    high: int

    @property
    def shift(self) -> int:
        """How many low bits of a key its bin ignores."""
        return max(0, (self.high - self.low - 1).bit_length() - _BIN_BITS)

    def bins(self, keys: np.ndarray) -> np.ndarray:
        """Count keys inside the bracket per bin; shifting first keeps 64-bit differences from overflowing."""
        found = (keys >> self.shift) - (self.low >> self.shift)
        return np.bincount(found, minlength=((self.high - 1) >> self.shift) - (self.low >> self.shift) + 1)

    def bin(self, index: int) -> "Bracket":
        """Return the keys of one bin."""
        first = ((self.low >> self.shift) + index) << self.shift
        return Bracket(max(self.low, first), min(self.high, first + (1 << self.shift)))


@final
@dataclass(frozen=True, slots=True)
class Pending:
    """Entries inside the bracket in one chunk."""

    name: str
    indices: np.ndarray
    """Shape (k,), int64, positions in the tensor."""
    keys: np.ndarray
    """Shape (k,), sort keys."""


@final
@dataclass(slots=True)
class Tally:
    """What one pass found; grows while the pass runs."""

    above: int = 0
    inside: int = 0
    pending: list[Pending] | None = field(default_factory=list[Pending])
    """Every entry inside the bracket, or None where they were too many to keep."""
    histogram: np.ndarray | None = None
    """Entries per bin of the bracket, where ``pending`` is None."""


@contextmanager
def _one_torch_thread() -> Generator[int, None, None]:
    """Switch torch's own threads off; yield how many there were."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def in_threads(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Map over items in as many threads as torch may use, in order; the first error stops the rest."""
    with _one_torch_thread() as allowed, ThreadPoolExecutor(min(allowed, _MAX_THREADS)) as pool:
        yield from pool.map(function, items)


def sweep(
    keys: Keys, sizes: Mapping[str, int], bracket: Bracket, *, progress: Progress, sink: Sink | None = None
) -> Tally:
    """Go once over all keys.

    Args:
        keys: Reads sort keys.
        sizes: Entries per tensor.
        bracket: Where the threshold is believed to be.
        progress: Told about chunks.
        sink: Told which entries are at or above ``bracket.high``.

    Returns:
        Exact counts, and the entries inside the bracket or, of more than ``CAPACITY``, their histogram.
    """
    tally = Tally()

    def look(piece: tuple[str, int, int]) -> tuple[int, Pending | np.ndarray]:
        name, start, stop = piece
        found = keys(name, start, stop)
        above = found >= bracket.high
        inside = found >= bracket.low
        if sink is not None:
            sink(name, start, above)
        inside ^= above
        positions = np.flatnonzero(inside)
        kept = found[positions]
        if tally.pending is None:
            return int(np.count_nonzero(above)), bracket.bins(kept)
        return int(np.count_nonzero(above)), Pending(name, positions + start, kept)

    pieces = [(name, at, min(at + PIECE, total)) for name, total in sizes.items() for at in range(0, total, PIECE)]
    for above, found in progress.track(in_threads(look, pieces), "choosing dimensions", total=len(pieces)):
        tally.above += above
        _add(tally, found, bracket)
    return tally


def _add(tally: Tally, found: Pending | np.ndarray, bracket: Bracket) -> None:
    tally.inside += len(found.keys) if isinstance(found, Pending) else int(found.sum())
    if tally.pending is not None and isinstance(found, Pending):
        if tally.inside <= CAPACITY:
            if len(found.keys):
                tally.pending.append(found)
            return
        tally.histogram = sum((bracket.bins(earlier.keys) for earlier in tally.pending), start=bracket.bins(found.keys))
        tally.pending = None
    else:
        tally.histogram += bracket.bins(found.keys) if isinstance(found, Pending) else found
