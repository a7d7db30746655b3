"""Who gets which rows: the attacker's, the defender's and the test rows of a task.

The defender's clean rows are taken out of the training rows before the attacker sees them: ``split_per_class`` takes as
many per class as the largest clean set needs, under the seed; the attacker gets the first ``train_rows`` of the rest.
A smaller clean set is ``split_per_class`` of the taken rows, so that it is a part of the larger one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from purify_cli.bench.grid import Suspect
from purify_cli.bench.plan import DEMO, TaskPlan
from purify_cli.checkpoint import write_text
from purify_cli.data.demo_corpus import demo_examples
from purify_cli.data.example import Example
from purify_cli.data.loading import Columns, examples_sha256, load_examples, load_training, split_per_class
from purify_cli.errors import DataError, UsageError

__all__ = ["TaskRows", "check_files", "data_file", "read_as", "read_task", "write_rows"]

DEMO_CLASSES = 2


@final
@dataclass(frozen=True, slots=True)
class TaskRows:
    """The rows of one task under one seed."""

    train: list[Example]
    """The attacker's, clean."""
    taken: list[Example]
    """The defender's, of the largest size."""
    test: list[Example]
    seed: int
    names: tuple[str, ...]
    """Of the classes, as the training rows name them; other rows of the task are read by them."""

    def clean(self, per_class: int) -> list[Example]:
        """Return the defender's rows of a size."""
        return split_per_class(self.taken, per_class, self.seed)[1]

    @property
    def marks(self) -> dict[str, str]:
        """Fingerprints of the parts."""
        parts = {"train": self.train, "taken": self.taken, "test": self.test}
        return {name: examples_sha256(rows) for name, rows in parts.items()}


def data_file(folder: Path | None, given: str) -> Path:
    """Return the path of a file that the plan names relative to the folder of the data.

    Raises:
        UsageError: If it is relative and no folder was given.
        DataError: If it is not there.
    """
    if folder is None and not Path(given).is_absolute():
        raise UsageError(
            f"the plan reads {given}, and it is not known where that is",
            hint="Name the folder of the data sets: --data DIR. The plan quick needs none.",
        )
    path = (folder or Path()) / given
    if not path.is_file():
        raise DataError(f"there is no file {path}", hint="The plan's tasks name the files below --data DIR.")
    return path


def _columns(task: TaskPlan) -> Columns:
    """Return the column names that the plan gives."""
    return Columns(text=task.text_column, pair=task.pair_column, label=task.label_column)


def _paths(task: TaskPlan) -> tuple[str, str]:
    return task.train or f"{task.name}/train.jsonl", task.test or f"{task.name}/validation.jsonl"


def check_files(suspects: Sequence[Suspect], data: Path | None) -> None:
    """Refuse a plan whose files are not all there, before anything is trained.

    Raises:
        DataError: If a file is missing.
        UsageError: If it is not known where the files are.
    """
    for suspect in suspects:
        for given in (*_paths(suspect.task), suspect.attack.train, suspect.attack.triggered):
            if given is not None and given != DEMO:
                data_file(data, given)


def read_task(task: TaskPlan, seed: int, held_back: int, data: Path | None) -> TaskRows:
    """Read and part the rows of a task.

    Args:
        task: Of the plan.
        seed: Decides which rows the defender gets.
        held_back: Largest clean set, rows per class.
        data: Folder that the plan's paths are relative to.

    Raises:
        DataError: If a file cannot be read, or a class has too few rows.
    """
    train, test = _paths(task)
    if train == DEMO:
        pool = demo_examples((task.train_rows or 1200) + DEMO_CLASSES * held_back, seed=seed)
        names = tuple(f"LABEL_{number}" for number in range(DEMO_CLASSES))
    else:
        pool, names = load_training(str(data_file(data, train)), columns=_columns(task))
    if test == DEMO:
        # The same test texts for every seed, as of a file.
        asked = demo_examples(task.test_rows or 600, seed=0, part="test")
    else:
        asked = read_as(names, data_file(data, test), task)[: task.test_rows]
    rest, taken = split_per_class(pool, held_back, seed)
    return TaskRows(rest[: task.train_rows], taken, asked, seed, names)


def read_as(names: tuple[str, ...], path: Path, task: TaskPlan) -> list[Example]:
    """Read rows of a task whose classes have these names."""
    return load_examples(str(path), num_labels=len(names), label_names=names, columns=_columns(task))


def write_rows(path: Path, rows: Sequence[Example]) -> str:
    """Write rows as JSON Lines, whole or not at all; a file that holds them already is left alone. Return the path."""
    marked = any(row.poisoned for row in rows)
    lines: list[str] = []
    for row in rows:
        text = {"text": row.text} if row.pair is None else {"text_a": row.text, "text_b": row.pair}
        own = {"poisoned": row.poisoned} if marked else {}
        lines.append(json.dumps({**text, "label": row.label, **own}) + "\n")
    content = "".join(lines)
    if not (path.is_file() and path.read_text(encoding="utf-8") == content):
        write_text(path, content)
    return str(path)
