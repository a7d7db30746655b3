"""How well a model does, and how well the attack does on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from purify_cli.data.batches import Encoded
from purify_cli.data.example import Example
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError
from purify_cli.evaluation.forward import predict
from purify_cli.evaluation.question import Question, ask
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.metrics import accuracy, attack_success, per_class_recall, target_rate
from purify_cli.model import pad_id
from purify_cli.progress import SILENT, Progress

__all__ = ["Measurement", "evaluate_model", "evaluate_models", "measure"]

CPU = torch.device("cpu")


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
    """Rows of other classes left out because truncation removed the trigger."""
    predictions: tuple[int, ...]
    """Of all rows in their order, without the trigger."""
    triggered_predictions: Mapping[int, int]
    """Place of a row → prediction with the trigger, for the rows behind ``attack_success``."""


def measure(
    module: nn.Module,
    question: Question,
    *,
    batch_size: int,
    device: torch.device = CPU,
    dtype: torch.dtype = torch.float32,
    progress: Progress = SILENT,
) -> Measurement:
    """Put a question to one model.

    Raises:
        DataError: If a label or the target is not among the model's classes.
        NonFiniteWeights: If the model's output is not a number.
    """

    def answers(rows: Sequence[Encoded]) -> tuple[torch.Tensor, int]:
        return predict(
            module,
            rows,
            batch_size=batch_size,
            pad_id=pad_id(question.pad_id, module),
            device=device,
            dtype=dtype,
            progress=progress,
        )

    predictions, classes = answers(question.clean)
    labels = _labels(question.clean)
    for what, value in (("label", int(labels.max())), ("target", question.target)):
        if value is not None and not 0 <= value < classes:
            raise DataError(
                f"the {what} {value} is none of the model's {classes} classes", hint="Classes count from 0."
            )
    success: Proportion | None = None
    answered: dict[int, int] = {}
    if question.triggered and question.target is not None:
        triggered, _ = answers(question.triggered)
        success = attack_success(triggered, _labels(question.triggered), question.target)
        answered = {row.index: int(p) for row, p in zip(question.triggered, triggered.tolist(), strict=True)}
    return Measurement(
        accuracy=accuracy(predictions, labels),
        per_class=per_class_recall(predictions, labels, classes),
        attack_success=success,
        target_rate=None if question.target is None else target_rate(predictions, labels, question.target),
        dropped=question.dropped,
        predictions=tuple(predictions.tolist()),
        triggered_predictions=answered,
    )


def evaluate_models(
    loaders: Mapping[str, Callable[[], nn.Module]],
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    *,
    trigger: Trigger | None,
    target: int | None,
    max_length: int,
    batch_size: int,
    seed: int,
    device: torch.device = CPU,
    dtype: torch.dtype = torch.float32,
    progress: Progress = SILENT,
) -> dict[str, Measurement]:
    """Measure several models on the very same inputs, holding one at a time.

    Args:
        loaders: Name → function that loads the model onto ``device``; called when its turn comes, and what it returns
            is let go before the next.
        tokenizer: The reference's tokenizer, common to all.
        examples: Labelled rows.
        trigger: None measures accuracy only.
        target: Class that the trigger is meant to bring about.
        max_length: Most tokens of a row.
        batch_size: Rows per forward pass.
        seed: Decides random trigger positions.
        device: Where to compute.
        dtype: float32, or bfloat16 for autocast.
        progress: Told of every batch.

    Raises:
        UsageError: If there is a trigger but no target.
        DataError: If the rows, the trigger or the target cannot be used.
        NonFiniteWeights: If a model's output is not a number.
    """
    question = ask(tokenizer, examples, trigger=trigger, target=target, max_length=max_length, seed=seed)
    return {
        name: measure(load(), question, batch_size=batch_size, device=device, dtype=dtype, progress=progress)
        for name, load in loaders.items()
    }


def evaluate_model(
    module: nn.Module,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    *,
    trigger: Trigger | None,
    target: int | None,
    max_length: int,
    batch_size: int,
    seed: int,
    device: torch.device = CPU,
    dtype: torch.dtype = torch.float32,
    progress: Progress = SILENT,
) -> Measurement:
    """Measure one model; arguments and errors as for ``evaluate_models``."""
    question = ask(tokenizer, examples, trigger=trigger, target=target, max_length=max_length, seed=seed)
    return measure(module, question, batch_size=batch_size, device=device, dtype=dtype, progress=progress)


def _labels(rows: Sequence[Encoded]) -> torch.Tensor:
    return torch.tensor([row.label for row in rows], dtype=torch.int64)
