"""From a file or a hub data set to checked rows.

Nothing is dropped or guessed: the first malformed row is named with its line, the others are counted, and no row is
returned.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from purify_cli.data.columns import Columns, resolve_columns
from purify_cli.data.example import Example
from purify_cli.data.labels import class_index
from purify_cli.data.sampling import examples_sha256, hold_out, require_classes, split_per_class
from purify_cli.data.tables import Row, and_more, read_table
from purify_cli.errors import DataError

__all__ = ["Columns", "examples_sha256", "hold_out", "load_examples", "require_classes", "split_per_class"]

POISONED: Final = "poisoned"
"""Column that may mark the rows which an attack made or changed; ``purify attack --data-only`` writes it."""

MARKS: Final = {"": False, "0": False, "1": True, "false": False, "true": True}

SHOWN = 'One object per line, like {"text": "…", "label": 0}, or a csv file with the columns text and label.'


def _text(row: Row, column: str) -> str:
    value = row.values.get(column)
    if column not in row.values:
        raise ValueError(f"there is no {column!r}")
    if not isinstance(value, str):
        raise ValueError(f"{column!r} is {'missing' if value is None else f'a {type(value).__name__}'}, not a text")
    if not value.strip():
        raise ValueError(f"{column!r} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{column!r} holds half of a surrogate pair at character {error.start + 1}") from error
    return value


def _marked(row: Row) -> bool:
    value = row.values.get(POISONED)
    if isinstance(value, str):
        value = MARKS.get(value.strip().casefold(), value)
    if value is None or isinstance(value, bool):
        return value is True
    if isinstance(value, int | float) and value in (0, 1):
        return value == 1
    raise ValueError(f"{POISONED!r} is {value!r:.40}, neither true nor false")


def _raw_label(row: Row, column: str) -> Any:
    value = row.values.get(column)
    return None if isinstance(value, str) and not value.strip() else value


def load_examples(
    given: str,
    *,
    num_labels: int | None = None,
    label_names: Sequence[str] | None = None,
    columns: Columns = Columns(),  # noqa: B008 - frozen
    labels: Literal["required", "none", "optional"] = "required",
    split: str = "train",
) -> list[Example]:
    """Load and check rows.

    Args:
        given: A jsonl, csv, tsv or parquet file, or the id of a data set on the hub (``name`` or ``name:config``).
        num_labels: Classes of the model; labels must be below.
        label_names: Class names of the model, which labels may be given as.
        columns: Column names where they are not among the recognised ones.
        labels: ``required``: every row has one. ``none``: no row may have one. ``optional``: all rows or none.
        split: Part of a hub data set.

    Returns:
        The rows in their order, at least one. A column ``poisoned`` (true or false, 1 or 0; empty is false) marks rows.

    Raises:
        DataError: If the file cannot be read, or any row is malformed: names the first by line (row in parquet and
            hub data) and counts the rest.
    """
    rows = read_table(given, split=split)
    readable = [row for row in rows if row.problem is None]
    if readable:
        columns = resolve_columns([row.values.keys() for row in readable], columns, where=given)
    text, label = columns.text or "", columns.label or ""
    labelled = labels == "required" or (
        labels == "optional" and any(_raw_label(row, label) is not None for row in readable)
    )

    def understood(row: Row) -> Example:
        if row.problem is not None:
            raise ValueError(row.problem)
        first, second = _text(row, text), None if columns.pair is None else _text(row, columns.pair)
        value = _raw_label(row, label)
        if not labelled:
            if value is not None:
                raise ValueError(f"there is a label in {label!r}, but the rows must have none")
            return Example(first, second, poisoned=_marked(row))
        if value is None:
            others = "" if labels == "required" else " though other rows have one"
            raise ValueError(f"the label is missing from {label!r}{others}")
        number = class_index(value, num_labels=num_labels, label_names=label_names)
        return Example(first, second, number, _marked(row))

    examples: list[Example] = []
    problems: list[str] = []
    for row in rows:
        try:
            examples.append(understood(row))
        except ValueError as error:
            problems.append(f"{row.where}: {error}")
    if problems:
        raise DataError(f"{given}, {problems[0]}{and_more(len(problems) - 1)}", hint=SHOWN)
    return examples
