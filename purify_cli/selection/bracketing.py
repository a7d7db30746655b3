"""Narrow a bracket until the count-th largest key is certain."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final, final

import numpy as np

from purify_cli.indicators.sampling import spread
from purify_cli.selection.sweep import Bracket, Keys, Pending, Tally, in_threads

__all__ = ["LENGTH", "PIECES", "Located", "around_quantile", "locate"]

PIECES: Final = 2048
LENGTH: Final = 256
"""Pieces that are read to guess where the threshold is, and entries of each; they never decide a result. Half a million
entries, 1 KiB each from 2048 places, cost a quarter of a second and put a quantile of unstructured scores within
± 0.15 % of all entries."""

_SIGMAS: Final = 4.0
"""Half width of a guessed bracket in standard errors; a miss (6 in 100,000) costs one more pass."""


@final
@dataclass(frozen=True, slots=True)
class Located:
    """The count-th largest key, and what the last pass kept."""

    key: int
    equal: int
    """Entries equal to it."""
    rank: int
    """How many of these are selected."""
    pending: tuple[Pending, ...] | None
    """Entries inside the last bracket; None where those equal to ``key`` are too many to keep."""


def around_quantile(keys: Keys, sizes: Mapping[str, int], count: int, whole: Bracket) -> Bracket:
    """Guess a bracket for the count-th largest key from a sample spread evenly over all entries.

    The standard error is taken between pieces, from differences of neighbouring ones: entries of one piece (one row,
    say) are alike, and shares that drift slowly from tensor to tensor are no error of a spread-out sample.

    Args:
        keys: Reads sort keys.
        sizes: Entries per tensor.
        count: Rank of the key that is looked for.
        whole: All keys there can be.

    Returns:
        A bracket that holds the key with high probability.
    """
    total = sum(sizes.values())
    places = spread(sizes, pieces=PIECES, length=LENGTH, seed=0)
    read_pieces = list(in_threads(lambda place: keys(*place), places))
    pooled = np.sort(np.concatenate(read_pieces))[::-1]
    share = count / total
    guess = pooled[min(int(share * len(pooled)), len(pooled) - 1)]
    shares = np.array([np.count_nonzero(piece >= guess) / len(piece) for piece in read_pieces])
    error = sqrt(float(np.mean(np.diff(shares) ** 2)) / 2 / len(shares)) if len(shares) > 1 else 1.0
    margin = _SIGMAS * error + 2 / len(pooled)
    top, bottom = int((share - margin) * len(pooled)), int((share + margin) * len(pooled)) + 1
    high = int(pooled[top]) + 1 if share > margin else whole.high
    low = int(pooled[bottom]) if bottom < len(pooled) else whole.low
    return Bracket(low, high)


def locate(scan: Callable[[Bracket], Tally], count: int, guess: Bracket, whole: Bracket) -> Located:
    """Find the count-th largest key exactly.

    One pass is enough where the guess holds the key and few others; counts certify it. A guess that misses is
    replaced by the side the key must be on, a crowded one by the one of its 2^16 bins that holds the key, so a
    32-bit key takes four passes at the very most.

    Args:
        scan: Goes once over all keys (``sweep``), which are inside ``whole`` or at or above ``whole.high``.
        count: 1 ≤ count ≤ all entries that are at or above ``whole.low``.
        guess: First bracket; not empty.
        whole: All keys that can be the answer.

    Returns:
        The key, and the entries of the last bracket where they were few enough.
    """
    bracket = guess
    while True:
        tally = scan(bracket)
        need = count - tally.above
        if need <= 0:
            bracket = Bracket(bracket.high, whole.high)
        elif need > tally.inside:
            bracket = Bracket(whole.low, bracket.low)
        elif tally.pending is not None:
            kept = np.concatenate([pending.keys for pending in tally.pending])
            key = int(np.partition(kept, len(kept) - need)[len(kept) - need])
            above, equal = (int(np.count_nonzero(found)) for found in (kept > key, kept == key))
            return Located(key, equal, need - above, tuple(tally.pending))
        else:
            assert tally.histogram is not None  # a tally holds the one or the other
            from_top = np.cumsum(tally.histogram[::-1])
            backwards = int(np.searchsorted(from_top, need))
            index = len(from_top) - 1 - backwards
            one = bracket.bin(index)
            equal = int(tally.histogram[index])
            if one.high - one.low == 1:
                return Located(one.low, equal, need - (int(from_top[backwards]) - equal), None)
            bracket = one
