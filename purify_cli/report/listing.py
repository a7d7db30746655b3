"""Rows for a terminal of any width, in which no name is ever broken: what is shown can be searched and copied."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final, final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

from purify_cli.errors import printable

__all__ = ["Listing", "Sentence", "show_part"]

GAP: Final = "  "
INDENT: Final = "    "

NARROWEST: Final = 24
"""Columns that sentences need to be read with comfort. Ours."""


@final
class Listing:
    """Cells in columns where they fit; where they do not, each row as a paragraph that begins with its first cell.

    Args:
        columns: Headings.
        sentences: Number of the last column where it may be broken between words; no other is broken at all.
    """

    def __init__(self, *columns: str, sentences: int | None = None) -> None:
        self.columns = _plain(columns)
        self.sentences = sentences
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """Add a row as plain text: names and tokens come from the suspect and must not be read as markup."""
        self.rows.append(_plain(cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield lines, some of which may be longer than the console is wide."""
        del console
        widths = self._widths(options.max_width)
        if widths is None:
            lines = (line for row in self.rows for line in self._paragraph(row, options.max_width))
        else:
            yield Text(next(self._aligned(self.columns, widths)), style="bold", no_wrap=True, overflow="ignore")
            lines = (line for row in self.rows for line in self._aligned(row, widths))
        for line in lines:
            yield Text(line, no_wrap=True, overflow="ignore")

    def _widths(self, most: int) -> list[int] | None:
        """Return the columns' widths; None where they do not fit."""
        cells = [self.columns, *self.rows]
        widths = [max(cell_len(row[place]) for row in cells) for place in range(len(self.columns))]
        left = most - (sum(widths) + len(GAP) * (len(widths) - 1))
        if left < 0 and self.sentences is not None:
            words = [cell_len(word) for row in cells for word in row[self.sentences].split()]
            widths[self.sentences] += left
            return widths if widths[self.sentences] >= max([NARROWEST, *words]) else None
        return None if left < 0 else widths

    def _aligned(self, row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
        """Yield the lines of a row, of which there are several where its sentence is broken."""
        pieces = [
            _wrapped(cell, width) if place == self.sentences else [cell]
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for number in range(max(map(len, pieces))):
            parts = (piece[number] if number < len(piece) else "" for piece in pieces)
            padded = (part + " " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True))
            yield GAP.join(padded).rstrip()

    def _paragraph(self, row: Sequence[str], most: int) -> Iterator[str]:
        """Yield the first cell alone, then the others under their headings."""
        yield row[0]
        told = [f"{heading}: {cell}" for heading, cell in zip(self.columns[1:], row[1:], strict=True)]
        room, line = most - len(INDENT), ""
        for pair in told:
            if line and cell_len(f"{line}; {pair}") > room:
                yield from (INDENT + piece for piece in _wrapped(f"{line};", room))
                line = pair
            else:
                line = f"{line}; {pair}" if line else pair
        yield from (INDENT + piece for piece in _wrapped(line, room))


@final
class Sentence:
    """Plain text that is broken between words; a word that is longer than the console is wide is left whole."""

    def __init__(self, text: str) -> None:
        self.text = printable(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield its lines."""
        del console
        yield from (Text(line, no_wrap=True, overflow="ignore") for line in _wrapped(self.text, options.max_width))


def _plain(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(printable, cells))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]


def show_part(console: Console, part: object) -> None:
    """Print a part of a record, lines that are longer than the console is wide included."""
    console.print(part, crop=False)
