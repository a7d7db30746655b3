"""Files of delimited fields (csv, tsv), read by Python's own parser, so that every malformed line has a number."""

import csv
import io
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

from purify_cli.data.rows import Row
from purify_cli.errors import DataError

__all__ = ["delimited_rows"]

DELIMITERS: Final = (",", ";", "\t", "|")
"""In the order of preference. Spreadsheets write semicolons where the comma is the decimal sign."""


def _dialect(delimiter: str, *, plain: bool) -> dict[str, Any]:
    # Tab-separated files have no quoting (IANA text/tab-separated-values), and GLUE's hold single quotation marks.
    if plain and delimiter == "\t":
        return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE}
    return {"delimiter": delimiter, "strict": True}


def _delimiter(text: str, *, tab: bool) -> str:
    """Find what stands between fields: what the header is cut into most fields by, the next line into as many."""
    counts: dict[str, int] = {}
    for delimiter in DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), **_dialect(delimiter, plain=tab))
        try:
            header, first = next(filter(None, reader), []), next(filter(None, reader), [])
        except csv.Error:
            continue
        same = not first or len(first) == len(header) or _used(first) == _used(header)
        counts[delimiter] = len(header) if same else 0
    usual = "\t" if tab else ","
    best = max(counts.values(), default=0)
    return usual if best < 2 or counts.get(usual) == best else max(counts, key=lambda one: counts[one])


@contextmanager
def _fields_up_to(length: int) -> Generator[None]:
    """Let fields be as long as the file: the parser's own limit of 131,072 characters is global."""
    before = csv.field_size_limit(length)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _header(fields: list[str], given: str) -> list[str]:
    header = [name.strip() for name in fields]
    named = [name for name in header if name]
    if not named:
        raise DataError(f"{given}: no column has a name", hint="The first line names the columns: text,label.")
    if len(set(named)) < len(named):
        raise DataError(f"{given}, line 1: two columns have one name", hint="Give each column its own name.")
    return header


def _used(fields: list[str]) -> int:
    """Count the fields of a line up to the last that is not empty."""
    return next((count for count in range(len(fields), 0, -1) if fields[count - 1].strip()), 0)


def _rows(text: str, given: str, *, tab: bool) -> Iterator[Row]:
    lines = io.StringIO(text, newline="")
    said = text[:6].rstrip("\r\n")
    skipped = int(len(said) == len("sep=;") and said.startswith("sep="))  # a spreadsheet's note to itself
    if skipped:
        delimiter = said[-1]
        lines.readline()
    else:
        delimiter = _delimiter(text, tab=tab)
    reader = csv.reader(lines, **_dialect(delimiter, plain=tab))
    try:
        names = _header(next(filter(None, reader), []), given)
        header, end = names[: _used(names)], reader.line_num
        for fields in reader:
            where, end = f"line {end + 1 + skipped}", reader.line_num
            used = _used(fields)
            if not used:
                continue  # an empty line, which some programs end with
            if len(header) <= len(fields) and used <= len(names):  # fields of unnamed columns may be left out
                yield Row(where, {name: field for name, field in zip(header, fields, strict=False) if name})
            else:
                yield Row(where, {}, f"{len(fields)} fields where line 1 names {len(names)} columns")
    except csv.Error as error:
        raise DataError(
            f"{given}, line {reader.line_num + skipped}: {error}", hint="Mend the quotation marks."
        ) from error


def delimited_rows(text: str, given: str, *, tab: bool) -> list[Row]:
    """Read a file whose first line names the columns.

    Args:
        text: Fields between commas, semicolons, tabs or bars, quoted where they hold one or a line break. Columns
            without a name (a spreadsheet's empty ones, an index) are left out, empty lines too.
        given: The file, for messages.
        tab: Whether it is a tsv file, in which quotation marks are letters like others.

    Raises:
        DataError: If no column has a name, two have the same, or quotation marks are broken.
    """
    with _fields_up_to(len(text) + 1):
        return list(_rows(text, given, tab=tab))
