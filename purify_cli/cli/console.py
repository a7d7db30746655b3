"""What a person sees: progress on stderr, a record on stdout."""

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar, final

from purify_cli.choices import Format
from purify_cli.errors import printable
from purify_cli.progress import SILENT, Progress

if TYPE_CHECKING:
    from purify_cli.bench.store import Store
    from purify_cli.records.base import Record

__all__ = ["Bars", "Lines", "as_document", "show", "show_tables", "talk"]

T = TypeVar("T")


@final
class Bars:
    """Progress bars and notes on a terminal's stderr."""

    def __init__(self) -> None:
        from rich.console import Console

        from purify_cli.report.listing import Sentence

        self._console, self._sentence = Console(stderr=True, highlight=False), Sentence

    def track(self, items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
        """Yield the items and draw a bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bars:
            yield from bars.track(items, description=printable(what), total=total)

    def note(self, sentence: str) -> None:
        """Print one sentence."""
        self._console.print(self._sentence(sentence), style="dim", crop=False)


@final
class Lines:
    """Plain notes on stderr, for logs."""

    def track(self, items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
        """Yield the items; a log gains nothing from bars."""
        del what, total
        yield from items

    def note(self, sentence: str) -> None:
        """Print one sentence."""
        print(printable(sentence), file=sys.stderr)


def talk(*, quiet: bool) -> Progress:
    """Choose a listener: nothing, lines for a log, or bars for a terminal."""
    if quiet:
        return SILENT
    return Bars() if sys.stderr.isatty() else Lines()


def as_document(form: Format | None) -> bool:
    """Tell whether the result is for a program: asked for, or because nobody looks at it."""
    return form == "json" or (form is None and not sys.stdout.isatty())


def show(record: "Record", form: Format | None, *, verbose: bool) -> None:
    """Write a record to stdout: JSON as one document, or tables."""
    if as_document(form):
        from purify_cli.storage.record_files import dump

        # Through sys.stdout, never through Rich, which would wrap lines and read [brackets] as markup.
        sys.stdout.write(dump(record))
        sys.stdout.flush()  # a full disk is to be noticed here, not when Python ends
        return
    from rich.console import Console

    from purify_cli.report.listing import show_part
    from purify_cli.report.tables import render

    console = Console(highlight=False)
    for part in render(record, verbose=verbose):
        show_part(console, part)


def show_tables(store: "Store", form: Format | None) -> None:
    """Write the results of a bench to stdout: the rows that count, or tables."""
    from purify_cli.bench.reporting import as_json, as_text

    sys.stdout.write(as_json(store) if as_document(form) else as_text(store))
    sys.stdout.flush()
