"""From a file or a hub data set to checked rows.

Nothing is dropped or guessed: the first malformed row is named with its line, the others are counted, and no row is
returned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import fspath
from typing import Any, Final, Literal, final

from purify_cli.choices import Name
from purify_cli.data.class_names import MOST_CLASSES, checked_names, listed, named, words_of
from purify_cli.data.columns import Columns, resolve_columns
from purify_cli.data.example import Example
from purify_cli.data.labels import label_reader
from purify_cli.data.rows import Row, shown, text_of, understood
from purify_cli.data.sampling import (
    examples_sha256,
    hold_out,
    require_classes,
    require_every_class,
    split_per_class,
)
from purify_cli.data.tables import read_table
from purify_cli.errors import DataError

__all__ = [
    "Columns",
    "examples_sha256",
    "hold_out",
    "load_examples",
    "load_training",
    "require_classes",
    "split_per_class",
]

POISONED: Final = "poisoned"
"""Column that may mark the rows which an attack made or changed; ``purify attack --data-only`` writes it."""

MARKS: Final = {"": False, "0": False, "1": True, "false": False, "true": True}

SHOWN: Final = (
    'One object per line, like {"text": "…", "label": 0}, or a csv file with the columns text and label. Labels are '
    "numbers from 0, or names that the model's config.json gives (id2label)."
)


def _marked(row: Row) -> bool:
    value = row.values.get(POISONED)
    if isinstance(value, str):
        value = MARKS.get(value.strip().casefold(), value)
    if value is None or isinstance(value, bool):
        return value is True
    if isinstance(value, int | float) and value in (0, 1):
        return value == 1
    raise ValueError(f"{POISONED!r} is {shown(value)}, neither true nor false")


def _raw_label(row: Row, column: str) -> Any:
    value = row.values.get(column)
    return None if isinstance(value, str) and not value.strip() else value


def load_examples(
    given: Name,
    *,
    num_labels: int | None = None,
    label_names: Sequence[str] | None = None,
    columns: Columns = Columns(),  # noqa: B008 - frozen
    labels: Literal["required", "none", "optional"] = "required",
    tell: Callable[[str], None] | None = None,
) -> list[Example]:
    """Load and check rows.

    Args:
        given: A jsonl, json, csv, tsv, parquet or arrow file, or the id of a data set on the hub (``name`` or
            ``name:config``).
        num_labels: Classes of the model; labels must be below.
        label_names: Class names of the model, which labels may be given as. Where the data name their classes too
            (``ClassLabel`` of ``datasets``), labels are matched by name.
        columns: Column names where they are not among the recognised ones.
        labels: ``required``: every row has one. ``none``: no row may have one. ``optional``: all rows or none.
        tell: Told, in a sentence, of names that the data declare and the model lacks.

    Returns:
        The rows in their order, at least one. A column ``poisoned`` (true or false, 1 or 0; empty is false) marks rows.

    Raises:
        DataError: If the file cannot be read, class names cannot be matched, or any row is malformed: names the first
            by line (row in parquet and hub data) and counts the rest.
    """
    given = fspath(given)
    source = _read(given, columns, labelled=labels == "required")
    labelled = labels == "required" or (labels == "optional" and bool(source.labels))
    if tell is not None and labelled and named(source.declared) and not named(label_names):
        order = listed([f"{number} {name}" for number, name in enumerate(source.declared or ())])
        tell(f"{given} numbers its classes {order}; the model names none, so that numbers are taken as they are")
    return _examples(source, num_labels, label_names, labelled=labelled, needed=labels == "required")


def load_training(
    given: Name,
    *,
    num_labels: int | None = None,
    label_names: Sequence[str] | None = None,
    columns: Columns = Columns(),  # noqa: B008 - frozen
) -> tuple[list[Example], tuple[str, ...]]:
    """Load labelled rows to train on, and name the classes of the classifier that comes out.

    Args:
        given: As for ``load_examples``.
        num_labels: Classes of the classifier to start from; None for a new head, which gets as many as the rows have.
        label_names: Its names, in the order of the numbers. A new head that is given names may have classes without a
            row.
        columns: As for ``load_examples``.

    Returns:
        The rows, and the names of the classes: those given, else those that the data declare, else the labels
        themselves where they are words, in alphabetical order, else ``LABEL_0`` and so on.

    Raises:
        UsageError: If names given, or words of the data, cannot be names of classes.
        DataError: As ``load_examples``; or if fewer than two classes occur, or a class of a new head has no row though
            ``label_names`` does not name it.
    """
    given = fspath(given)
    source = _read(given, columns, labelled=True)
    names = None if label_names is None else checked_names(label_names)
    if not named(names) and named(source.declared) and num_labels in (None, len(source.declared or ())):
        names = checked_names(source.declared or (), what=given)
    elif names is None and num_labels is None:
        names = words_of(source.labels, given)
    count = len(names) if names and num_labels is None else num_labels
    rows = _examples(source, count, names, labelled=True, needed=True)
    require_classes(rows, at_least=2)
    if num_labels is None and label_names is None:
        require_every_class(rows, names or ())
    count = count or len({row.label for row in rows})
    if num_labels is None and count > MOST_CLASSES:
        raise DataError(
            f"{given} has {count:,} classes; {MOST_CLASSES:,} are the most", hint="Name the label's column."
        )
    return rows, names or tuple(f"LABEL_{number}" for number in range(count))


@final
@dataclass(frozen=True, slots=True)
class _Source:
    """A table whose columns are known."""

    given: str
    rows: list[Row]
    columns: Columns
    declared: tuple[str, ...] | None
    """Names of the class numbers, where the table brings them along."""
    labels: list[Any]
    """All labels that are there."""


def _read(given: str, columns: Columns, *, labelled: bool) -> _Source:
    table = read_table(given)
    readable = [row.values.keys() for row in table.rows if row.problem is None]
    if readable:
        columns = resolve_columns(readable, columns, where=given, labelled=labelled)
    label = columns.label or ""
    values = (_raw_label(row, label) for row in table.rows if row.problem is None)
    labels = [value for value in values if value is not None]
    return _Source(given, table.rows, columns, table.class_names.get(label), labels)


def _examples(
    source: _Source, num_labels: int | None, label_names: Sequence[str] | None, *, labelled: bool, needed: bool
) -> list[Example]:
    """Read every row of a table; ``needed``: each must have a label, whatever the others have."""
    columns, label = source.columns, source.columns.label or ""
    class_of = label_reader(
        source.labels if labelled else (),
        declared=source.declared,
        num_labels=num_labels,
        label_names=label_names,
        given=source.given,
    )

    def read(row: Row) -> Example:
        first = text_of(row, columns.text or "")
        second = None if columns.pair is None else text_of(row, columns.pair)
        value = _raw_label(row, label)
        if not labelled:
            if value is not None:
                raise ValueError(f"there is a label in {label!r}, but the rows must have none")
            return Example(first, second, poisoned=_marked(row))
        if value is None:
            others = "" if needed else " though other rows have one"
            raise ValueError(f"the label is missing from {label!r}{others}")
        return Example(first, second, class_of(value), _marked(row))

    return understood(source.rows, read, source.given, hint=SHOWN)
