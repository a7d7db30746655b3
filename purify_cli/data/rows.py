"""Rows of a table before they are understood, and how every reader speaks of the malformed ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from purify_cli.data.example import Example
from purify_cli.errors import DataError

__all__ = ["LONGEST_TEXT", "Row", "Table", "and_more", "shown", "text_of", "understood"]

LONGEST_TEXT: Final = 1_000_000
"""Characters of the longest text: a tokenizer reads all of it before it is cut to some hundred tokens. A long novel has
as many; ours."""

SHOWN: Final = 40
"""Characters of a value that a message quotes."""


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One row before it is understood."""

    where: str
    """``line 3`` or ``row 3``, counted from 1."""
    values: dict[str, Any]
    problem: str | None = None
    """Why the row cannot be read at all."""


@final
@dataclass(frozen=True, slots=True)
class Table:
    """All rows of a file or data set."""

    rows: list[Row]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Per column of class numbers that brings names along: those names, in the order of the numbers."""


def and_more(count: int) -> str:
    """Say how many malformed rows a message does not show."""
    return f" (and {count} more malformed row{'s' if count > 1 else ''})" if count else ""


def shown(value: Any) -> str:
    """Quote a value, the beginning of it where it is long."""
    if isinstance(value, int) and value.bit_length() > 128:  # printing a long integer takes time, or is refused
        return f"of more than {SHOWN - 2} digits"
    text = repr(value[: SHOWN + 1] if isinstance(value, str | list) else value)
    return text if len(text) <= SHOWN + 2 else f"{text[:SHOWN]}…"


def text_of(row: Row, column: str) -> str:
    """Read a text.

    Raises:
        ValueError: If there is none, or none that can be used; the message is a clause fit for "line 3: …".
    """
    if column not in row.values:
        raise ValueError(f"there is no {column!r}")
    value = row.values[column]
    if not isinstance(value, str):
        raise ValueError(f"{column!r} is {'missing' if value is None else f'a {type(value).__name__}'}, not a text")
    if not value.strip():
        raise ValueError(f"{column!r} is empty")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{column!r} has {len(value):,} characters; {LONGEST_TEXT:,} are the most")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{column!r} holds half of a surrogate pair at character {error.start + 1}") from error
    return value


def understood(rows: Sequence[Row], read: Callable[[Row], Example], given: str, *, hint: str) -> list[Example]:
    """Read every row, or refuse all.

    Args:
        rows: As they stand in the table.
        read: Reads one; raises ``ValueError`` with a clause fit for "line 3: …".
        given: The file or data set, for messages.
        hint: How rows should look.

    Raises:
        DataError: If any row is malformed: names the first and counts the rest.
    """
    examples: list[Example] = []
    first, count = "", 0
    for row in rows:
        try:
            if row.problem is not None:
                raise ValueError(row.problem)
            examples.append(read(row))
        except ValueError as error:
            first = first or f"{row.where}: {error}"
            count += 1
    if count:
        raise DataError(f"{given}, {first}{and_more(count - 1)}", hint=hint)
    return examples
