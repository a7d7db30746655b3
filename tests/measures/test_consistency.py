"""Agreement of two models' logits against its definition, and its laws."""

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from purify_cli.errors import DataError
from purify_cli.measures import Proportion, consistency


def logits(n: int, classes: int, seed: int) -> torch.Tensor:
    return torch.randn(n, classes, generator=torch.Generator().manual_seed(seed)) * 3


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_correlation_is_pearsons_of_centred_logits(classes: int) -> None:
    first = logits(200, classes, 0)
    second = first + logits(200, classes, 1) / 2
    found = consistency(first, second, seed=0)
    x, y = ((part - part.mean(1, keepdim=True)).double().numpy() for part in (first, second))
    truth = np.mean([pearsonr(x[:, c], y[:, c]).statistic for c in range(classes)])
    assert found.correlation == pytest.approx(truth, abs=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.correlation < found.high
    assert found.same == Proportion.of(int((first.argmax(1) == second.argmax(1)).sum()), 200)
    assert found.squared_gap == pytest.approx(float(((first - second) ** 2).sum(1).mean()), rel=1e-5)


def test_of_two_classes_it_is_the_correlation_of_the_margins() -> None:
    first, second = logits(80, 2, 2), logits(80, 2, 3)
    margins = [(part[:, 1].double() - part[:, 0].double()).numpy() for part in (first, second)]
    assert consistency(first, second, seed=0).correlation == pytest.approx(pearsonr(*margins).statistic, abs=1e-9)


def test_the_interval_of_two_classes_is_near_fishers() -> None:
    first = logits(400, 2, 4)
    second = first + logits(400, 2, 5)
    found = consistency(first, second, seed=0)
    margins = [(part[:, 1].double() - part[:, 0].double()).numpy() for part in (first, second)]
    truth = pearsonr(*margins).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(truth.low, abs=0.02), pytest.approx(truth.high, abs=0.02))


@pytest.mark.parametrize("shift", [0.0, 4.0])
def test_identical_models_agree_exactly(shift: float) -> None:
    first = torch.round(logits(50, 3, 6))  # whole numbers, so that the shift can be undone without rounding
    found = consistency(first, first + shift, seed=0)
    assert found.same == Proportion.of(50, 50)
    assert (found.correlation, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0), abs=1e-12)
    assert found.squared_gap == pytest.approx(3 * shift**2)


def test_the_same_logits_give_one_and_not_almost_one() -> None:
    first = logits(333, 4, 7)
    found = consistency(first, first.clone(), seed=0)
    assert (found.correlation, found.low, found.high, found.squared_gap) == (1.0, 1.0, 1.0, 0.0)


def test_opposite_models() -> None:
    first = logits(60, 2, 8)
    found = consistency(first, -first, seed=0)
    assert found.correlation == pytest.approx(-1)
    assert found.same == Proportion.of(0, 60)


def test_a_model_that_answers_all_rows_alike_has_no_correlation() -> None:
    first = logits(20, 2, 9)
    found = consistency(first, torch.tensor([[1.0, 2.0]]).expand(20, 2), seed=0)
    assert (found.correlation, found.low, found.high) == (None, None, None)
    assert found.same.total == 20


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows(n: int) -> None:
    found = consistency(logits(n, 2, 10), logits(n, 2, 11), seed=0)
    assert found.same.total == n
    assert (found.correlation is None) is (n == 1)
    assert (found.low is None) is (n < 3)


def test_the_seed_decides_the_interval() -> None:
    first, second = logits(40, 2, 12), logits(40, 2, 13)
    assert consistency(first, second, seed=1) == consistency(first, second, seed=1)
    assert consistency(first, second, seed=1).low != consistency(first, second, seed=2).low


def test_models_of_other_labels_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be compared"):
        consistency(logits(5, 2, 0), logits(5, 3, 0), seed=0)
