"""Paired differences against drawing rows one by one, and their laws."""

import numpy as np
import pytest

from purify_cli.errors import DataError
from purify_cli.measures import Proportion, paired_difference


def outcomes(n: int, seed: int, p: float = 0.8, q: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    first = random.random(n) < p
    return first, np.where(random.random(n) < 0.7, first, random.random(n) < q)


@pytest.mark.parametrize("n", [12, 100, 873])
def test_the_interval_is_that_of_drawing_rows(n: int) -> None:
    first, second = outcomes(n, seed=n)
    found = paired_difference(first, second, seed=0)
    per_row = first.astype(float) - second.astype(float)
    random = np.random.default_rng(1)
    drawn = np.array([per_row[random.integers(0, n, n)].mean() for _ in range(10_000)])
    low, high = np.percentile(drawn, (2.5, 97.5))
    # Both are 10,000 draws from one law whose values are 1/n apart.
    noise = 0.08 * drawn.std() + 1 / n
    assert (found.low, found.high) == (pytest.approx(low, abs=noise), pytest.approx(high, abs=noise))
    assert found.value == pytest.approx(per_row.mean(), abs=1e-12)
    assert found.low <= found.value <= found.high


def test_the_seed_decides_the_interval_and_nothing_else() -> None:
    first, second = outcomes(501, seed=3)
    assert paired_difference(first, second, seed=5) == paired_difference(first, second, seed=5)
    found = [paired_difference(first, second, seed=seed, resamples=50) for seed in range(20)]
    assert len({(one.low, one.high) for one in found}) > 5
    assert len({one.value for one in found}) == 1


def test_swapping_the_models_turns_the_sign() -> None:
    first, second = outcomes(400, seed=4)
    one, other = paired_difference(first, second, seed=0), paired_difference(second, first, seed=0)
    assert one.value == -other.value
    assert (one.low, one.high) == (pytest.approx(-other.high, abs=0.005), pytest.approx(-other.low, abs=0.005))


def test_the_order_of_the_rows_does_not_matter() -> None:
    first, second = outcomes(300, seed=6)
    order = np.random.default_rng(0).permutation(300)
    assert paired_difference(first[order], second[order], seed=1) == paired_difference(first, second, seed=1)


def test_pairing_makes_the_interval_narrower_than_two_separate_shares() -> None:
    first, _ = outcomes(500, seed=7)
    second = first.copy()
    second[:10] = ~second[:10]
    paired = paired_difference(first, second, seed=0)
    separate = Proportion.of(int(first.sum()), 500).interval
    assert paired.high - paired.low < 0.5 * (separate[1] - separate[0])


def test_identical_models_differ_by_exactly_nothing() -> None:
    first, _ = outcomes(100, seed=8)
    found = paired_difference(first, first.copy(), seed=0)
    bound = Proportion.of(0, 100).interval[1]
    assert found.value == 0
    assert (found.low, found.high) == (-bound, bound)


@pytest.mark.parametrize("n", [1, 50, 10_000])
def test_all_or_nothing_does_not_pretend_to_be_certain(n: int) -> None:
    yes, no = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    found = paired_difference(yes, no, seed=0)
    assert (found.value, found.high) == (1.0, 1.0)
    assert -1 <= found.low < 1
    assert paired_difference(no, yes, seed=0).low == -1
    assert found.low == pytest.approx(max(-1, 1 - 2 * Proportion.of(0, n).interval[1]))


def test_coverage_of_a_true_difference() -> None:
    # 95 % intervals should hold the truth in about 95 of 100 data sets: 0.8 against 0.7 * 0.8 + 0.3 * 0.7 = 0.77.
    hits = 0
    for seed in range(200):
        found = paired_difference(*outcomes(300, seed=1000 + seed), seed=seed, resamples=1000)
        hits += found.low <= 0.03 <= found.high
    assert 180 <= hits <= 199


def test_rows_that_do_not_pair_are_refused() -> None:
    for first, second in ((np.ones(3, dtype=bool), np.ones(2, dtype=bool)), (np.ones(0, dtype=bool),) * 2):
        with pytest.raises(DataError, match="row by row"):
            paired_difference(first, second, seed=0)
