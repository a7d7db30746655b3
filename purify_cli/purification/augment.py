"""What is done with triggers that a search found: clean rows carry them, to learn from and to score by."""

from collections.abc import Sequence

from purify_cli.checkpoint import CheckpointPair
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.errors import DataError
from purify_cli.model import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.tasks.base import Task
from purify_cli.tensors import TensorSource
from purify_cli.trigger_search.found import FoundTrigger
from purify_cli.trigger_search.path_gradient import path_gradient

__all__ = ["carried_gradient", "with_triggers"]


def with_triggers(task: Task, rows: Sequence[Example], found: Sequence[FoundTrigger]) -> list[Example]:
    """Return the rows, and a copy of each that carries one of the found triggers and keeps its true answer."""
    drawn = [found[row_key(task.compute.seed, place, "unlearn") % len(found)] for place in range(len(rows))]
    pairs = zip(drawn, rows, strict=True)
    return [*rows, *(task.carrying(one, row, place) for place, (one, row) in enumerate(pairs))]


def carried_gradient(
    task: Task,
    pair: CheckpointPair,
    loaded: LoadedModel,
    rows: Sequence[Example],
    found: Sequence[FoundTrigger],
    *,
    progress: Progress = SILENT,
) -> TensorSource:
    """Return the gradient of what the found triggers do to clean rows, on the way to the reference.

    Args:
        task: Of the suspect.
        pair: Suspect and reference.
        loaded: The suspect, a model of its own; of no use afterwards.
        rows: Clean samples.
        found: At least one trigger.
        progress: Told of every pass.

    Raises:
        DataError: If for no trigger there is a row that it could turn.
    """
    driven = task.driven(found, rows)
    if not any(driven):
        raise DataError(
            "no clean sample has another label than the one that the found words drive to",
            hint="Give clean samples of every label.",
        )
    return path_gradient(
        loaded,
        pair,
        driven,
        batch_size=min(task.gradient_rows(loaded, part.rows) for parts in driven for part in parts),
        pad_id=task.pad_id(loaded),
        progress=progress,
    )
