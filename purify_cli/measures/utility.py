"""What a model is still good for on clean rows: accuracy of a classifier, perplexity of a language model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, final

from scipy.stats import t as student_t

from purify_cli.measures.intervals import Proportion

__all__ = ["Perplexity", "TokenLoss", "Utility", "lost", "pooled", "resolution", "summarised"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity:
    """How well a language model predicts clean text: a token loss without those of single texts."""

    perplexity: float | None
    """exp(loss); null where that is beyond the largest number."""
    loss: float
    """Mean negative log-likelihood per token, in nats."""
    low: float | None
    """Of the 95 % interval of the loss, over texts; null of a single text."""
    high: float | None
    tokens: int
    texts: int


@final
@dataclass(frozen=True, slots=True)
class TokenLoss:
    """Negative log-likelihood of clean texts.

    Raises:
        ValueError: If there is no token, or the two have different lengths.
    """

    losses: tuple[float, ...]
    """Of each text, summed over its tokens, in nats."""
    tokens: tuple[int, ...]
    """Of each text, those that count."""

    def __post_init__(self) -> None:
        """Check the counts."""
        if len(self.losses) != len(self.tokens) or sum(self.tokens) < 1:
            raise ValueError(f"{len(self.losses)} losses of {sum(self.tokens)} tokens")

    @property
    def total(self) -> int:
        """Tokens behind the mean."""
        return sum(self.tokens)

    @property
    def mean(self) -> float:
        """Mean negative log-likelihood per token, in nats."""
        return math.fsum(self.losses) / self.total

    @property
    def perplexity(self) -> float | None:
        """exp(mean); None where that is beyond the largest number."""
        return _exp(self.mean)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean over texts like these, in nats; None of a single text.

        A ratio of two sums over texts, linearised: its variance is that of the residuals loss − mean · tokens over the
        squared mean number of tokens. Tokens of one text are not independent, texts are.

        Source:
            W. G. Cochran, "Sampling Techniques", 1977, equation 6.13; Student's t for the number of texts.
        """
        count = len(self.losses)
        if count < 2:
            return None
        residuals = [loss - self.mean * tokens for loss, tokens in zip(self.losses, self.tokens, strict=True)]
        spread = math.sqrt(math.fsum(one * one for one in residuals) / (count - 1) / count) / (self.total / count)
        half = float(student_t.ppf(0.975, count - 1)) * spread
        return self.mean - half, self.mean + half

    @property
    def summary(self) -> Perplexity:
        """What a report needs of it."""
        low, high = self.interval or (None, None)
        return Perplexity(
            perplexity=self.perplexity,
            loss=self.mean,
            low=low,
            high=high,
            tokens=self.total,
            texts=len(self.losses),
        )


Utility = Proportion | TokenLoss
"""Accuracy of a classifier, or token loss of a language model, on clean rows."""


def summarised(measured: Utility) -> Proportion | Perplexity:
    """Return an accuracy as it is, and a token loss as perplexity."""
    return measured if isinstance(measured, Proportion) else measured.summary


def pooled(parts: Sequence[Utility]) -> Utility:
    """Return the utility over the rows of all parts together.

    Raises:
        TypeError: If they are not all of one kind.
    """
    return reduce(_joined, parts)


def _joined(one: Utility, other: Utility) -> Utility:
    if isinstance(one, Proportion) and isinstance(other, Proportion):
        return Proportion.of(one.successes + other.successes, one.total + other.total)
    if isinstance(one, TokenLoss) and isinstance(other, TokenLoss):
        return TokenLoss(one.losses + other.losses, one.tokens + other.tokens)
    raise TypeError("an accuracy and a token loss have nothing in common")


def lost(before: Utility, after: Utility) -> float:
    """Return what was lost: of accuracy the difference, of perplexity the relative rise; below 0 is a gain.

    Raises:
        TypeError: If the two are not of one kind.
    """
    if isinstance(before, Proportion) and isinstance(after, Proportion):
        return (before.successes * after.total - after.successes * before.total) / (before.total * after.total)
    if isinstance(before, TokenLoss) and isinstance(after, TokenLoss):
        rise = _exp(after.mean - before.mean)
        return math.inf if rise is None else rise - 1
    raise TypeError("an accuracy and a token loss have nothing in common")


def resolution(measured: Utility) -> float:
    """Return the smallest loss that can be seen: one row of an accuracy; any of a token loss."""
    return 1 / measured.total if isinstance(measured, Proportion) else 0.0


_LARGEST: Final = math.log(1.7e308)


def _exp(value: float) -> float | None:
    return math.exp(value) if value < _LARGEST else None
