"""Accuracy and token loss as one thing: what was lost, over how many rows, and how sure it is."""

import math

import numpy as np
import pytest

from purify_cli.measures import Proportion, TokenLoss
from purify_cli.measures.utility import lost, pooled, resolution


def test_the_mean_is_over_tokens_and_the_perplexity_its_exponential() -> None:
    found = TokenLoss((6.0, 1.0), (2, 1))
    assert found.total == 3
    assert found.mean == pytest.approx(7 / 3)
    assert found.perplexity == pytest.approx(math.exp(7 / 3))


def test_a_perplexity_beyond_all_numbers_is_none() -> None:
    assert TokenLoss((1000.0,), (1,)).perplexity is None


def test_texts_of_equal_length_have_the_interval_of_a_mean() -> None:
    losses = np.random.default_rng(0).gamma(5.0, size=30)
    low, high = TokenLoss(tuple(losses * 4), (4,) * 30).interval or (0.0, 0.0)
    half = 2.0452296421327034 * losses.std(ddof=1) / math.sqrt(30)  # the 97.5 % quantile of Student's t, 29 degrees
    assert (low, high) == pytest.approx((losses.mean() - half, losses.mean() + half))


def test_the_interval_covers_the_mean_of_texts_of_any_length() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        tokens = random.integers(2, 40, size=25)
        losses = tokens * (3.0 + random.normal(size=25))
        low, high = TokenLoss(tuple(losses), tuple(tokens.tolist())).interval or (0.0, 0.0)
        hits += low <= 3.0 <= high
    assert 0.9 <= hits / 400 <= 0.99


def test_a_single_text_has_no_interval_and_no_token_is_no_loss() -> None:
    assert TokenLoss((3.0,), (2,)).interval is None
    with pytest.raises(ValueError, match="0 tokens"):
        TokenLoss((0.0,), (0,))


def test_parts_count_as_their_rows_together() -> None:
    assert pooled([Proportion.of(1, 2), Proportion.of(3, 8)]) == Proportion.of(4, 10)
    assert pooled([TokenLoss((1.0,), (2,)), TokenLoss((3.0,), (1,))]) == TokenLoss((1.0, 3.0), (2, 1))
    with pytest.raises(TypeError, match="nothing in common"):
        pooled([Proportion.of(1, 2), TokenLoss((1.0,), (2,))])


def test_what_is_lost_is_accuracy_or_relative_perplexity() -> None:
    assert lost(Proportion.of(9, 10), Proportion.of(16, 20)) == pytest.approx(0.1)
    assert lost(TokenLoss((2.0,), (1,)), TokenLoss((2.0 + math.log(1.05),), (1,))) == pytest.approx(0.05)
    assert lost(TokenLoss((3.0,), (1,)), TokenLoss((2.0,), (1,))) < 0
    assert lost(TokenLoss((0.0,), (1,)), TokenLoss((1e6,), (1,))) == math.inf
    with pytest.raises(TypeError, match="nothing in common"):
        lost(Proportion.of(1, 2), TokenLoss((1.0,), (1,)))
    assert (resolution(Proportion.of(1, 8)), resolution(TokenLoss((1.0,), (1,)))) == (1 / 8, 0.0)
