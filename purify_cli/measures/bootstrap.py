"""How sure a difference is between two models on the same rows."""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from purify_cli.errors import DataError
from purify_cli.measures.intervals import Proportion

__all__ = ["RESAMPLES", "Difference", "paired_difference"]

RESAMPLES: Final = 10_000
"""Resamples of the bootstrap: the end of a 95 % interval then moves by about a fortieth of its half-width from seed to
seed."""


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """A share of one model minus that of another on the same rows, with the 95 % interval of a paired bootstrap."""

    against: str
    """Name of the other model."""
    value: float
    """In [-1, 1]; exactly 0 where the two give the same outcome on every row."""
    low: float
    high: float
    rows: int


def paired_difference(
    first: Bool[np.ndarray, " n"],
    second: Bool[np.ndarray, " m"],
    *,
    against: str = "",
    seed: int,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compare two models by outcomes on the same rows (right or wrong, target or not).

    Rows are drawn with replacement, both outcomes of a row together; the interval is that of the 2.5 % and 97.5 %
    percentiles. A row contributes −1, 0 or 1 to the difference, so that a resample of n rows is a draw of three counts
    from a multinomial law: the same distribution as drawing rows, at a cost that does not grow with n.

    Where every row contributes the same, resampling has nothing to vary and the interval would shrink to a point, which
    no finite sample can justify. Then up to a share u of unseen rows could contribute otherwise, u being the Wilson
    bound of 0 in n: by up to 2 each if all rows contribute ±1, and by 1 each, either way, if all contribute 0.
    This rule is ours.

    Args:
        first: Outcome of the first model per row.
        second: Outcome of the second model on the same rows in the same order.
        against: Name of the second model.
        seed: Of the resampling; the same seed gives the same interval.
        resamples: How many.

    Raises:
        DataError: If there is no row, or the two have different numbers of rows.

    Source:
        B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile interval).
    """
    if len(first) != len(second) or not len(first):
        raise DataError(
            f"outcomes on {len(first)} and on {len(second)} rows cannot be compared row by row",
            hint="Measure both models on the same rows, at least one.",
        )
    n = len(first)
    per_row: NDArray[np.int64] = first.astype(np.int64) - second.astype(np.int64)
    counts = np.array([int((per_row == step).sum()) for step in (-1, 0, 1)])
    value = float(counts[2] - counts[0]) / n
    if int((counts > 0).sum()) == 1:
        bound = Proportion.of(0, n).high
        low = value - bound if value == 0 else max(-1.0, value - 2 * bound)
        high = value + bound if value == 0 else min(1.0, value + 2 * bound)
        return Difference(against, value, low, high, n)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)
    low, high = np.percentile((drawn[:, 2] - drawn[:, 0]) / n, (2.5, 97.5))
    return Difference(against, value, float(low), float(high), n)
