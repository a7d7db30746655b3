"""What the text form of every record is made of."""

from rich.table import Table
from rich.text import Text

from purify_cli.errors import printable
from purify_cli.report.schema import ProportionFact

__all__ = ["add_row", "line", "number", "percent", "table_of", "yes"]


def percent(share: ProportionFact | None) -> str:
    """Write a proportion with its interval, for example ``87.3 % (85.0-89.3)``."""
    if share is None:
        return "-"
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f})"


def table_of(*columns: str, wide: int) -> Table:
    """Make a table whose column number ``wide`` may take several lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index != wide)
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add cells as plain text: names and tokens come from the suspect and must not be read as markup."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def line(sentence: str) -> Text:
    """Write a sentence as plain text."""
    return Text(printable(sentence))


def yes(value: bool | None) -> str:
    """Write a yes, a no, or that it is not known."""
    return "-" if value is None else "yes" if value else "no"


def number(value: float | None) -> str:
    """Write a number with three digits."""
    return "-" if value is None else f"{value:.3g}"
