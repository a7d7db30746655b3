"""Shares with their uncertainty."""

from dataclasses import dataclass
from math import sqrt
from typing import Final, final

__all__ = ["Proportion"]

Z95: Final = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


@final
@dataclass(frozen=True, slots=True)
class Proportion:
    """So many of so many.

    Raises:
        ValueError: If ``total`` is below 1, ``successes`` is not between 0 and ``total``, or ``independent`` is not
            above 0 and at most ``total``.
    """

    successes: int
    total: int
    independent: float | None = None
    """How many independent trials they amount to, where they have something in common; None: all of them."""

    def __post_init__(self) -> None:
        """Check the counts."""
        if not 0 <= self.successes <= self.total or self.total < 1:
            raise ValueError(f"{self.successes} of {self.total} is no share")
        if self.independent is not None and not 0 < self.independent <= self.total:
            raise ValueError(f"{self.total} trials do not amount to {self.independent} independent ones")

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.successes / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval for so many independent trials, in [0, 1].

        Unlike the textbook ± interval it does not collapse at 0 and 1: no success out of 100 still allows 3.7 %.

        Source:
            E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
        """
        n, p, z2 = self.independent or self.total, self.value, Z95 * Z95
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        # At the ends the bound is 0 or 1 exactly; rounding would leave it a hair inside.
        low = 0.0 if self.successes == 0 else centre - half
        high = 1.0 if self.successes == self.total else centre + half
        return low, high
