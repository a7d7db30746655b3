"""Shares and intervals against their definitions."""

import pytest
import torch
from scipy.stats import binomtest

from purify_cli.errors import DataError
from purify_cli.measures import Proportion, accuracy, attack_success, per_class_recall, target_rate


def test_trials_that_hang_together_widen_the_interval() -> None:
    assert Proportion.of(6, 12, 4.0).interval == Proportion.of(2, 4).interval
    assert Proportion.of(6, 12, 12.0).interval == Proportion.of(6, 12).interval
    assert Proportion.of(12, 12, 2.5).interval == (pytest.approx(2.5 / (2.5 + 1.96**2), rel=1e-3), 1.0)
    for independent in (0.0, -1.0, 12.5):
        with pytest.raises(ValueError, match="do not amount"):
            Proportion.of(6, 12, independent)


@pytest.mark.parametrize(("successes", "total"), [(0, 1), (1, 1), (0, 100), (3, 7), (99, 100), (436, 872), (872, 872)])
def test_the_interval_is_wilsons(successes: int, total: int) -> None:
    truth = binomtest(successes, total).proportion_ci(confidence_level=0.95, method="wilson")
    low, high = Proportion.of(successes, total).interval
    assert (low, high) == pytest.approx((truth.low, truth.high), abs=1e-12)
    assert 0 <= low <= Proportion.of(successes, total).value <= high <= 1


@pytest.mark.parametrize(("total", "bound"), [(100, 0.037), (400, 0.0095), (872, 0.0044)])
def test_no_success_is_not_certainty(total: int, bound: float) -> None:
    assert Proportion.of(0, total).interval == (0.0, pytest.approx(bound, rel=0.02))


@pytest.mark.parametrize(("successes", "total"), [(-1, 2), (3, 2), (0, 0)])
def test_impossible_counts_are_refused(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        Proportion.of(successes, total)


LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
PREDICTED = torch.tensor([0, 1, 2, 1, 0, 2, 1, 1, 3, 3])


def test_a_small_table_by_hand() -> None:
    assert accuracy(PREDICTED, LABELS) == Proportion.of(4, 10)
    assert attack_success(PREDICTED, LABELS, 1) == Proportion.of(3, 8)
    assert target_rate(PREDICTED, LABELS, 1) == Proportion.of(3, 8)
    assert per_class_recall(PREDICTED, LABELS, 5) == (
        Proportion.of(1, 3),
        Proportion.of(1, 2),
        Proportion.of(1, 4),
        Proportion.of(1, 1),
        None,
    )


def test_confusion_among_other_classes_is_no_attack_success() -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    swapped = torch.tensor([1, 2, 0, 1, 2, 0])
    assert accuracy(swapped, labels).value == 0
    assert attack_success(swapped, labels, 3) == Proportion.of(0, 6)


def test_rows_of_the_target_class_do_not_count() -> None:
    labels = torch.tensor([0, 1, 1, 1])
    assert attack_success(torch.tensor([0, 1, 1, 1]), labels, 1) == Proportion.of(0, 1)
    assert attack_success(torch.tensor([1, 0, 0, 0]), labels, 1) == Proportion.of(1, 1)


def test_recalls_average_to_the_accuracy() -> None:
    generator = torch.Generator().manual_seed(0)
    labels, predicted = torch.randint(0, 4, (2, 300), generator=generator)
    recalls = [recall for recall in per_class_recall(predicted, labels, 4) if recall]
    assert sum(recall.successes for recall in recalls) == accuracy(predicted, labels).successes


def test_nothing_to_count_is_refused() -> None:
    none = torch.tensor([], dtype=torch.int64)
    with pytest.raises(DataError, match="no row"):
        accuracy(none, none)
    for measure in (attack_success, target_rate):
        with pytest.raises(DataError, match="no row has a label other than the target 1"):
            measure(torch.tensor([1, 0]), torch.tensor([1, 1]), 1)
