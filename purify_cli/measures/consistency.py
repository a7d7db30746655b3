"""How alike two models answer single rows, beyond having the same accuracy.

An attack that leaves accuracy alone can still change which rows are right; so can a repair. The attacks by few changed
parameters and by anchored logits are judged by this (Zhang et al., NAACL 2021 and ICLR 2022).
"""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from purify_cli.errors import DataError
from purify_cli.measures.intervals import Proportion

__all__ = ["Consistency", "consistency"]

RESAMPLES: Final = 2000
"""Fewer than for shares: here every resample weighs all rows, and the ends of the interval move by about a twentieth of
its half-width from seed to seed."""

AT_ONCE: Final = 2_000_000
"""Drawn rows held in memory at a time."""


@final
@dataclass(frozen=True, slots=True)
class Consistency:
    """How alike a model and another answer single rows without the trigger."""

    against: str
    """Name of the other model."""
    same: Proportion
    """Rows that both classify alike, rightly or wrongly."""
    correlation: float | None
    """Mean over the classes of Pearson's r between the two models' centred logits of that class; null where a model
    gives all rows the same. Of two classes it is the correlation of the margins."""
    low: float | None
    """Of the 95 % interval of the correlation; null where it is undefined or there are fewer than three rows."""
    high: float | None
    squared_gap: float
    """Mean over rows of Σ_c (s_c − s'_c)², s being the logits as they are: what logit anchoring holds down."""


def consistency(
    first: Float[Tensor, "n classes"], second: Float[Tensor, "m others"], *, against: str = "", seed: int
) -> Consistency:
    """Compare the logits that two models give the same rows.

    A classifier's answer does not change if a number is added to all logits of a row, so each row's logits are centred
    first: z_ic = s_ic − mean_c s_ic. Then r_c is Pearson's correlation over the rows i of the two models' z_ic, and
    what is reported is the mean of r_c over the classes c. Its interval is that of the percentiles of a bootstrap over
    rows. The formula is ours; the papers give none.

    Args:
        first: Logits of one model.
        second: Logits of the other, same rows and classes.
        against: Name of the second model.
        seed: Of the resampling.

    Raises:
        DataError: If there is no row, or shapes differ.
    """
    if first.shape != second.shape or not first.numel():
        raise DataError(
            f"logits of shapes {list(first.shape)} and {list(second.shape)} cannot be compared",
            hint="Both models must have the same labels and answer the same rows.",
        )
    a, b = first.double().numpy(), second.double().numpy()
    same: Int[Tensor, ""] = (first.argmax(dim=1) == second.argmax(dim=1)).sum()
    gap = float(((a - b) ** 2).sum(axis=1).mean())
    share = Proportion.of(int(same), len(a))
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (a, b))
    if np.ptp(x, axis=0).min() == 0 or np.ptp(y, axis=0).min() == 0:
        return Consistency(against, share, None, None, None, gap)
    if np.array_equal(x, y):
        return Consistency(against, share, 1.0, 1.0, 1.0, gap)
    # Taken about the mean of all rows, so that sums of squares lose no digits when they are subtracted.
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    value = float(_correlation(np.ones((1, len(x))), x, y)[0])
    low, high = _interval(x, y, seed) if len(x) > 2 else (None, None)
    return Consistency(against, share, value, low, high, gap)


def _correlation(weights: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over classes of the weighted correlation, for each row of ``weights`` (resamples, n)."""
    n = weights.sum(axis=1, keepdims=True)
    mx, my, mxx, myy, mxy = (weights @ part / n for part in (x, y, x * x, y * y, x * y))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (mxy - mx * my) / np.sqrt((mxx - mx * mx).clip(0) * (myy - my * my).clip(0))
    return np.clip(r, -1, 1).mean(axis=1)


def _interval(x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> tuple[float, float] | tuple[None, None]:
    n = len(x)
    random = np.random.default_rng(seed)
    found: list[NDArray[np.float64]] = []
    step = max(1, AT_ONCE // n)
    for begin in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - begin)
        drawn = random.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        found.append(_correlation(weights, x, y))
    values = np.concatenate(found)
    values = values[np.isfinite(values)]  # a resample of one row over and over has no correlation
    if not len(values):
        return None, None
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
