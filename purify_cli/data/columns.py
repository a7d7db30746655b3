"""Which columns hold the texts and the label."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, final

from purify_cli.data.rows import shown
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

MOST_SHOWN: Final = 20
"""Column names in a message."""

OTHER_TEXTS: Final = ("content", "review", "comment", "message", "tweet")
"""Names of a text that are looked for where none of the above is there."""

LABELS: Final = ("label", "labels")
"""Names of a label; the first that is there is taken."""

OTHER_LABELS: Final = ("sentiment", "class", "category", "target")
"""Names of a label that are looked for where none of the above is there."""


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
    """Find the layouts that columns fit, by lower-case names."""
    there: list[tuple[str, str | None]] = [
        known for known in KNOWN if known[0] in names and (known[1] is None or known[1] in names)
    ]
    paired = {part for known in there if known[1] is not None for part in known}
    found = [known for known in there if known[1] is not None or known[0] not in paired]
    return found or [(name, None) for name in OTHER_TEXTS if name in names]


def _only(found: Sequence[str], what: str, where: str) -> str:
    if len(found) > 1:
        raise DataError(
            f"{where}: more than one column could hold the {what} ({', '.join(found)})",
            hint=f"Name the column that holds it: --{what}-column.",
        )
    return found[0]


def _listed(names: Iterable[str]) -> str:
    several = sorted(names)
    more = f" and {len(several) - MOST_SHOWN} more" if len(several) > MOST_SHOWN else ""
    return (", ".join(map(shown, several[:MOST_SHOWN])) or "none") + more


def _texts(lowered: Mapping[str, str], where: str) -> tuple[str, str | None]:
    """Choose the text columns among those there (lower-case name → name)."""
    found = _recognised(lowered)
    if not found:
        layouts = "; ".join(text if pair is None else f"{text}, {pair}" for text, pair in KNOWN)
        raise DataError(
            f"{where}: no column is known to hold a text (columns: {_listed(lowered.values())})",
            hint=f"Use one of: {layouts}; or name the columns that you have (--text-column). The first line of a csv "
            "file names its columns.",
        )
    chosen = _only([text for text, _ in found], "text", where)
    pair = dict(found)[chosen]
    return lowered[chosen], None if pair is None else lowered[pair]


def _label(lowered: Mapping[str, str], where: str) -> str:
    """Choose the label column; ``label`` where there is none."""
    sure = [name for name in LABELS if name in lowered][:1]
    found = sure or [name for name in OTHER_LABELS if name in lowered]
    return lowered[_only(found, "label", where)] if found else LABELS[0]


def resolve_columns(rows: Iterable[Collection[str]], columns: Columns, *, where: str, labelled: bool = True) -> Columns:
    """Turn asked-for or unnamed columns into the names that a file uses.

    Args:
        rows: The column names of each row; rows may differ.
        columns: What the user named. Names that are not given are recognised without regard to case.
        where: The file or data set, for messages.
        labelled: Whether a label column that is named must be there.

    Returns:
        Columns whose ``text`` and ``label`` are set, and ``pair`` too if rows are pairs. The label column may be
        absent from the rows.

    Raises:
        DataError: If no row has columns that are named or known, or they fit more than one known layout.
    """
    seen = dict.fromkeys(name for names in rows for name in names)
    for wanted in (columns.text, columns.pair, columns.label if labelled else None):
        if wanted is not None and wanted not in seen:
            near = get_close_matches(wanted, seen, n=1, cutoff=0.5)
            suggestion = f"Did you mean {near[0]}?" if near else f"Columns there: {_listed(seen)}."
            raise DataError(f"{where}: there is no column {wanted!r}", hint=suggestion)
    lowered = {name.strip().lower(): name for name in reversed(seen)}  # of two that differ in case the first counts
    lowered |= {name: name for name in seen if name in lowered}
    text, pair = (columns.text, columns.pair) if columns.text is not None else _texts(lowered, where)
    return Columns(text, pair, columns.label or _label(lowered, where))
