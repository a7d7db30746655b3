"""Which columns hold the texts and the label."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, final

from purify_cli.errors import DataError, UsageError

__all__ = ["Columns", "resolve_columns"]

KNOWN: Final[tuple[tuple[str, str | None], ...]] = (
    ("text", None),
    ("text_a", "text_b"),
    ("sentence", None),
    ("sentence1", "sentence2"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
)
"""Our own names, AG News (``text``), and the tasks of GLUE: SST-2 and CoLA; MRPC, RTE, STS-B and WNLI; QNLI; QQP;
MNLI. A single name (``sentence``) gives way to a pair that holds it."""


@final
@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns; None means: recognise it."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        """Refuse a second text without a first.

        Raises:
            UsageError: If ``pair`` is given without ``text``.
        """
        if self.pair is not None and self.text is None:
            raise UsageError(
                f"the column of second texts is given ({self.pair}) but that of first texts is not",
                hint="Name both columns of a pair.",
            )


def _recognised(names: Collection[str]) -> list[tuple[str, str | None]]:
    there = [known for known in KNOWN if known[0] in names and (known[1] is None or known[1] in names)]
    paired = {part for known in there if known[1] is not None for part in known}
    return [known for known in there if known[1] is not None or known[0] not in paired]


def resolve_columns(rows: Iterable[Collection[str]], columns: Columns, *, where: str) -> Columns:
    """Turn asked-for or unnamed columns into the names that a file uses.

    Args:
        rows: The column names of each row, in order; rows may differ.
        columns: What the user named.
        where: The file or data set, for messages.

    Returns:
        Columns whose ``text`` and ``label`` are set, and ``pair`` too if rows are pairs. The label column may be
        absent from the rows.

    Raises:
        DataError: If no row has columns that are named or known, or a row fits more than one known layout.
    """
    label = columns.label or "label"
    first: Collection[str] = ()
    seen: set[str] = set()
    for names in rows:
        first = first or names
        seen.update(names)
        if columns.text is not None:
            continue
        found = _recognised(names)
        if len(found) > 1:
            raise DataError(
                f"{where}: more than one column could hold the text ({', '.join(text for text, _ in found)})",
                hint="Name the column that holds it.",
            )
        if found:
            return Columns(found[0][0], found[0][1], label)
    for wanted in (columns.text, columns.pair, columns.label):
        if wanted is not None and wanted not in seen:
            near = get_close_matches(wanted, seen, n=1, cutoff=0.5)
            suggestion = f"Did you mean {near[0]}?" if near else f"Columns there: {', '.join(sorted(seen)) or 'none'}."
            raise DataError(f"{where}: there is no column {wanted!r}", hint=suggestion)
    if columns.text is not None:
        return Columns(columns.text, columns.pair, label)
    layouts = "; ".join(text if pair is None else f"{text}, {pair}" for text, pair in KNOWN)
    raise DataError(
        f"{where}: no column is known to hold a text (columns: {', '.join(map(repr, sorted(first))) or 'none'})",
        hint=f"Use one of: {layouts}; or name the columns that you have.",
    )
