"""Data to train on, and the names of the classes of what comes out."""

from collections.abc import Sequence

from purify_cli.choices import Name
from purify_cli.data.class_names import checked_names, listed, named, place_of
from purify_cli.data.example import Example
from purify_cli.data.loading import load_training
from purify_cli.errors import UsageError
from purify_cli.model import LabelSet
from purify_cli.progress import Progress
from purify_cli.requests.common import Common

__all__ = ["read_training"]


def read_training(
    given: Name, task: LabelSet | None, common: Common, label_names: Sequence[str] | None, progress: Progress
) -> tuple[list[Example], LabelSet]:
    """Load data to train on, and say what the classifier that comes out answers.

    Args:
        given: The data.
        task: Of the classifier to start from; None for a new head.
        common: For the columns.
        label_names: Names for its classes, in the order of their numbers.
        progress: Told of names that come from the data, and of classes without a row.

    Raises:
        UsageError: If the classifier names its classes already, and otherwise; or the names cannot be used.
        DataError: If the rows cannot be used, or leave classes of a new head empty that ``label_names`` does not name.
    """
    if task is None:
        rows, names = load_training(given, label_names=label_names, columns=common.columns)
    else:
        before = _renamed(task, label_names) if label_names else task.label_names
        rows, names = load_training(given, num_labels=task.num_labels, label_names=before, columns=common.columns)
    made = LabelSet(len(names), names)
    if named(names) and not label_names and (task is None or names != task.label_names):
        progress.note(f"classes as the data name them: {listed([f'{i} {name}' for i, name in enumerate(names)])}")
    empty = sorted({*range(len(names))} - {row.label for row in rows})
    if task is None and empty:
        progress.note(f"no row is of class {listed([names[i] for i in empty])}: nothing trains its output")
    return rows, made


def _renamed(task: LabelSet, label_names: Sequence[str]) -> tuple[str, ...]:
    names = checked_names(label_names)
    same = len(names) == task.num_labels and all(place_of(name, task.label_names) == i for i, name in enumerate(names))
    if len(names) != task.num_labels or (named(task.label_names) and not same):
        raise UsageError(
            f"--label-names {listed(names)} are not the {task.num_labels} classes of the model to start from: "
            f"{listed(task.label_names)}",
            hint="Leave --label-names out: the model names its classes."
            if named(task.label_names)
            else "Give one name per class, in the order of the model's outputs.",
        )
    return task.label_names if named(task.label_names) else names
