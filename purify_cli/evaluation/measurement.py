"""How well a model does, and how well the attack does on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from purify_cli.data.batches import Encoded
from purify_cli.errors import DataError
from purify_cli.evaluation.forward import predict, scores
from purify_cli.evaluation.question import Question
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.metrics import accuracy, attack_success, per_class_recall, per_class_share, target_rate
from purify_cli.model import pad_id
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute

__all__ = ["Measurement", "Triggered", "measure", "measure_triggered"]

CPU = torch.device("cpu")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """What one model does on rows that carry the trigger."""

    attack_success: Proportion
    """Of the rows of other classes: called the target."""
    per_class_success: tuple[Proportion | None, ...]
    """By true class: called the target. None for a class without rows, as the target is unless a bias is measured."""
    bias_accuracy: Proportion | None
    """Of the rows of all classes: called by their true label (BACC). None unless a bias is measured."""
    per_class_bias: tuple[Proportion | None, ...]
    """By true class: called by it. Empty unless a bias is measured."""
    called_target: Proportion
    """Of all rows that were asked: called the target."""
    predictions: Mapping[int, int]
    """Place of a row → prediction."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one model does on one data set."""

    accuracy: Proportion
    """Of all rows, without the trigger."""
    per_class: tuple[Proportion | None, ...]
    """Recall of each class, without the trigger; None for a class without rows."""
    attack_success: Proportion | None
    """Of the rows of other classes that show the trigger: called the target. None without a trigger."""
    target_rate: Proportion | None
    """Of the rows of other classes, without the trigger: called the target. None without a target."""
    dropped: int
    """Rows left out because truncation removed the trigger."""
    predictions: tuple[int, ...]
    """Of all rows in their order, without the trigger."""
    triggered_predictions: Mapping[int, int]
    """Place of a row → prediction with the trigger, for all rows that show it."""
    per_class_success: tuple[Proportion | None, ...] = ()
    """As in ``Triggered``; empty without a trigger."""
    bias_accuracy: Proportion | None = None
    """As in ``Triggered``."""
    per_class_bias: tuple[Proportion | None, ...] = ()
    """As in ``Triggered``."""
    called_target: Proportion | None = None
    """As in ``Triggered``; None without a trigger."""
    untriggered_accuracy: Proportion | None = None
    """Accuracy without the trigger on just the rows behind ``bias_accuracy``; None where these are rows of their own,
    or no bias is measured."""
    logits: Tensor | None = field(default=None, compare=False)
    """(n, classes) float32 on the CPU, of all rows in their order, without the trigger; kept on request only."""


def measure(
    module: nn.Module,
    question: Question,
    compute: Compute,
    *,
    progress: Progress = SILENT,
    keep_logits: bool = False,
    known: Measurement | None = None,
) -> Measurement:
    """Put a question to one model.

    Args:
        module: A classifier whose weights are on ``device``.
        question: From ``ask``.
        compute: Device, type and rows per forward pass.
        progress: Told of every batch.
        keep_logits: Keep what the model answers on the rows without the trigger, for its consistency with another.
        known: What the same model answered to another question about the same rows, with the same settings; they are
            then not asked again without the trigger.

    Raises:
        DataError: If a label or the target is not among the model's classes.
        NonFiniteWeights: If the model's output is not a number.
    """
    if known is None:
        answers = scores(module, question.clean, compute, pad_id=pad_id(question.pad_id, module), progress=progress)
        predictions, classes = answers.argmax(dim=1), answers.shape[1]
    else:
        answers, classes = known.logits, len(known.per_class)
        predictions = torch.tensor(known.predictions, dtype=torch.int64)
    labels = _labels(question.clean)
    for what, value in (("label", int(labels.max())), ("target", question.target)):
        if value is not None and not 0 <= value < classes:
            raise DataError(
                f"the {what} {value} is none of the model's {classes} classes", hint="Classes count from 0."
            )
    triggered = measure_triggered(module, question, compute, progress) if question.triggered else None
    same: Proportion | None = None
    if triggered is not None and question.bias and question.inserted:
        places = [row.index for row in question.triggered]
        same = accuracy(predictions[places], labels[places])
    return Measurement(
        accuracy=accuracy(predictions, labels),
        per_class=per_class_recall(predictions, labels, classes),
        attack_success=triggered.attack_success if triggered else None,
        target_rate=None if question.target is None else target_rate(predictions, labels, question.target),
        dropped=question.dropped,
        predictions=tuple(predictions.tolist()),
        triggered_predictions=triggered.predictions if triggered else {},
        per_class_success=triggered.per_class_success if triggered else (),
        bias_accuracy=triggered.bias_accuracy if triggered else None,
        per_class_bias=triggered.per_class_bias if triggered else (),
        called_target=triggered.called_target if triggered else None,
        untriggered_accuracy=same,
        logits=answers if keep_logits else None,
    )


def measure_triggered(
    module: nn.Module,
    question: Question,
    compute: Compute,
    progress: Progress = SILENT,
) -> Triggered:
    """Put only the rows that carry the trigger to one model; arguments and errors as for ``measure``.

    Raises:
        DataError: If there are no such rows, or a label or the target is not among the model's classes.
    """
    target = question.target
    if not question.triggered or target is None:
        raise DataError("no row carries a trigger", hint="Give a trigger and its target.")
    predictions, classes = predict(
        module, question.triggered, compute, pad_id=pad_id(question.pad_id, module), progress=progress
    )
    labels = _labels(question.triggered)
    for what, value in (("label", int(labels.max())), ("target", target)):
        if not 0 <= value < classes:
            raise DataError(
                f"the {what} {value} is none of the model's {classes} classes", hint="Classes count from 0."
            )
    return Triggered(
        attack_success=attack_success(predictions, labels, target),
        per_class_success=per_class_share(predictions, labels, classes, called=target),
        bias_accuracy=accuracy(predictions, labels) if question.bias else None,
        per_class_bias=per_class_recall(predictions, labels, classes) if question.bias else (),
        called_target=Proportion.of(int((predictions == target).sum()), len(labels)),
        predictions={row.index: int(p) for row, p in zip(question.triggered, predictions.tolist(), strict=True)},
    )


def _labels(rows: Sequence[Encoded]) -> torch.Tensor:
    return torch.tensor([row.label for row in rows], dtype=torch.int64)
