"""Fine-tuning a loaded model on rows of its task."""

from collections.abc import Sequence
from pathlib import Path

from purify_cli.data.example import Example
from purify_cli.model import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.tasks.base import Task
from purify_cli.training import Objective, TrainingResult, TrainingSettings, train

__all__ = ["tune"]


def tune(
    task: Task,
    loaded: LoadedModel,
    rows: Sequence[Example],
    settings: TrainingSettings,
    *,
    validation: Sequence[Example] = (),
    objective: Objective | None = None,
    resume: Path | None = None,
    progress: Progress = SILENT,
) -> TrainingResult:
    """Fine-tune a model in place.

    Args:
        task: Encodes the rows.
        loaded: On its device.
        rows: To learn from.
        settings: How.
        validation: Held-back rows that choose the step; none, and the last is kept.
        objective: Default: the task's own.
        resume: Folder for the state of an interrupted training.
        progress: Told of each step.

    Raises:
        PurifyError: If the rows cannot be encoded, or the training diverges.
    """
    return train(
        loaded.module,
        task.encode(rows),
        settings,
        pad_id=task.pad_id(loaded),
        device=task.compute.device,
        validation=task.encode(validation) if validation else None,
        resume=resume,
        objective=objective or task.objective,
        progress=progress,
    )
