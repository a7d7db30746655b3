"""Shares with their uncertainty."""

from dataclasses import dataclass
from math import sqrt
from typing import Final, Self, final

__all__ = ["Proportion"]

Z95: Final = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


@final
@dataclass(frozen=True, slots=True)
class Proportion:
    """A share with its Wilson 95 % interval, which is wider where the trials share texts: for independent ones."""

    successes: int
    total: int
    value: float
    """In [0, 1]."""
    low: float
    high: float

    @classmethod
    def of(cls, successes: int, total: int, independent: float | None = None) -> Self:
        """Return the share of so many in so many, with its 95 % score interval.

        Unlike the textbook ± interval it does not collapse at 0 and 1: no success out of 100 still allows 3.7 %.

        Args:
            successes: Trials that count.
            total: All trials.
            independent: How many independent trials they amount to; None: all of them.

        Raises:
            ValueError: If ``total`` is below 1, ``successes`` is not between 0 and ``total``, or ``independent`` is not
                above 0 and at most ``total``.

        Source:
            E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
        """
        if not 0 <= successes <= total or total < 1:
            raise ValueError(f"{successes} of {total} is no share")
        if independent is not None and not 0 < independent <= total:
            raise ValueError(f"{total} trials do not amount to {independent} independent ones")
        n, p, z2 = independent or total, successes / total, Z95 * Z95
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        # At the ends the bound is 0 or 1 exactly; rounding would leave it a hair inside.
        return cls(
            successes,
            total,
            p,
            low=0.0 if successes == 0 else centre - half,
            high=1.0 if successes == total else centre + half,
        )

    @property
    def interval(self) -> tuple[float, float]:
        """``low`` and ``high``."""
        return self.low, self.high
