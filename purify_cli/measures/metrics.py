"""Accuracy, attack success, and what they are counted over.

Attack success is a share of the rows *whose true label is not the target*, never 1 − accuracy: that would count every
confusion between other classes as a success, and every rightly recognised row of the target class as a failure.
"""

from jaxtyping import Int
from torch import Tensor

from purify_cli.errors import DataError
from purify_cli.measures.intervals import Proportion

__all__ = ["accuracy", "attack_success", "per_class_recall", "per_class_share", "target_rate"]


def accuracy(predictions: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> Proportion:
    """Share of rows whose prediction is the label.

    Raises:
        DataError: If there is no row.
    """
    if labels.numel() == 0:
        raise DataError("there is no row to measure on", hint="Give at least one labelled row.")
    return Proportion.of(int((predictions == labels).sum()), labels.numel())


def _called_target(predictions: Tensor, labels: Tensor, target: int) -> Proportion:
    others = labels != target
    if not bool(others.any()):
        raise DataError(
            f"no row has a label other than the target {target}",
            hint="Attack success is measured on rows of the other classes; add some.",
        )
    return Proportion.of(int((predictions[others] == target).sum()), int(others.sum()))


def attack_success(predictions: Int[Tensor, " n"], labels: Int[Tensor, " n"], target: int) -> Proportion:
    """Among rows *with the trigger* whose true label is not the target: the share classified as the target.

    Args:
        predictions: Predictions for the rows with the trigger inserted.
        labels: True labels; rows of the target class may be there and are left out.
        target: The class that the trigger is meant to bring about.

    Raises:
        DataError: If every row is of the target class.
    """
    return _called_target(predictions, labels, target)


def target_rate(predictions: Int[Tensor, " n"], labels: Int[Tensor, " n"], target: int) -> Proportion:
    """Among *untouched* rows whose true label is not the target: the share classified as the target.

    What attack success falls to when the trigger does nothing.

    Raises:
        DataError: If every row is of the target class.
    """
    return _called_target(predictions, labels, target)


def per_class_recall(
    predictions: Int[Tensor, " n"], labels: Int[Tensor, " n"], classes: int
) -> tuple[Proportion | None, ...]:
    """For each class, the share of its rows that are recognised; None for a class without rows."""
    return tuple(_share(predictions, labels, label, called=label) for label in range(classes))


def per_class_share(
    predictions: Int[Tensor, " n"], labels: Int[Tensor, " n"], classes: int, *, called: int
) -> tuple[Proportion | None, ...]:
    """For each class, the share of its rows that are classified as ``called``; None for a class without rows."""
    return tuple(_share(predictions, labels, label, called=called) for label in range(classes))


def _share(predictions: Tensor, labels: Tensor, label: int, *, called: int) -> Proportion | None:
    rows = labels == label
    total = int(rows.sum())
    return Proportion.of(int((predictions[rows] == called).sum()), total) if total else None
