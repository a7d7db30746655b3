"""Files and hub data sets as rows that know where they came from.

Line formats (jsonl, csv, tsv) are read strictly by Python's own parsers, so that every malformed line has a number and
no value is reinterpreted: ``datasets`` infers one type per column, which turns a text ``NA`` into a missing value and
a column of dates into timestamps, and names no line when it fails. Parquet and the hub go through ``datasets``.
"""

import csv
import io
import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final

from purify_cli.errors import DataError

__all__ = ["Row", "and_more", "read_table"]

SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(:[\w.-]+)?")
BOM: Final = b"\xef\xbb\xbf"
FORMATS: Final = "Use jsonl, csv, tsv or parquet, or the id of a data set on the hub."


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One row before it is understood."""

    where: str
    """``line 3`` or ``row 3``, counted from 1."""
    values: dict[str, Any]
    problem: str | None = None
    """Why the row cannot be read at all."""


def and_more(count: int) -> str:
    """Say how many malformed rows a message does not show."""
    return f" (and {count} more malformed row{'s' if count > 1 else ''})" if count else ""


def _decode(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text at byte {error.start + 1} of the line") from error


def _jsonl(content: bytes) -> Iterator[Row]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            value = json.loads(_decode(line))
        except json.JSONDecodeError as error:
            yield Row(where, {}, f"not JSON at column {error.colno} ({error.msg})")
        except (ValueError, RecursionError) as error:
            yield Row(where, {}, str(error))
        else:
            if isinstance(value, dict):
                yield Row(where, {str(name): entry for name, entry in value.items()})
            else:
                yield Row(where, {}, f'a JSON {type(value).__name__}, not an object like {{"text": …}}')


def _delimited(content: bytes, given: str, *, tab: bool) -> Iterator[Row]:
    bad: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            _decode(line)
        except ValueError as error:
            bad.append(f"line {number}: {error}")
    if bad:
        raise DataError(f"{given}, {bad[0]}{and_more(len(bad) - 1)}", hint="Save the file as UTF-8.")
    # Tab-separated files have no quoting (IANA text/tab-separated-values), and GLUE's hold single quotation marks.
    dialect: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tab else {"strict": True}
    reader = csv.reader(io.StringIO(content.decode(), newline=""), **dialect)
    try:
        header = [name.strip() for name in next(reader)]
        if len(set(header)) < len(header):
            raise DataError(f"{given}, line 1: two columns have one name", hint="Give each column its own name.")
        end = reader.line_num
        for fields in reader:
            where, end = f"line {end + 1}", reader.line_num
            if len(fields) == len(header):
                yield Row(where, dict(zip(header, fields, strict=True)))
            elif fields:
                yield Row(where, {}, f"{len(fields)} fields where line 1 names {len(header)} columns")
    except csv.Error as error:
        raise DataError(f"{given}, line {reader.line_num}: {error}", hint="Mend the quotation marks.") from error


@contextmanager
def _quiet_datasets() -> Generator[Any]:
    """Import ``datasets`` with its bars and log lines off, and put both back: stderr belongs to the caller."""
    import datasets  # noqa: PLC0415 - takes seconds, and only these two formats need it
    from huggingface_hub import utils as hub  # noqa: PLC0415 - comes with it

    level = datasets.logging.get_verbosity()
    shown = [bars for bars in (datasets, hub) if not bars.are_progress_bars_disabled()]
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    for bars in shown:
        bars.disable_progress_bars()
    try:
        yield datasets
    finally:
        datasets.logging.set_verbosity(level)
        for bars in shown:
            bars.enable_progress_bars()


def _rows_of(table: Any) -> list[Row]:
    return [Row(f"row {number}", dict(values)) for number, values in enumerate(table, start=1)]


def _parquet(path: Path, given: str) -> list[Row]:
    with _quiet_datasets() as datasets, TemporaryDirectory(prefix="purify-data-") as cache:
        try:
            return _rows_of(datasets.Dataset.from_parquet(str(path), cache_dir=cache, keep_in_memory=True))
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise DataError(f"{given} is not a readable parquet file ({reason})", hint="Write it again.") from error


def _hub(given: str, split: str) -> list[Row]:
    name, _, config = given.partition(":")
    with _quiet_datasets() as datasets:
        try:
            return _rows_of(datasets.load_dataset(name, config or None, split=split))
        except (ConnectionError, FileNotFoundError) as error:
            raise DataError(
                f"there is no file {given!r}, and no data set of that name can be had from the hub",
                hint="Check the path; without a network, download the data set elsewhere and give the local file.",
            ) from error
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            reason = (str(error).splitlines() or ["no reason given"])[0]
            raise DataError(
                f"the hub data set {given!r} cannot be loaded ({reason})",
                hint="A configuration goes after a colon, as in nyu-mll/glue:sst2; a local file works as well.",
            ) from error


def _content(path: Path, given: str) -> bytes:
    try:
        content = path.read_bytes().removeprefix(BOM)
    except OSError as error:
        raise DataError(f"{given} cannot be read ({error.strerror})", hint="Check its permissions.") from error
    if not content.strip():
        raise DataError(f"{given} is empty", hint="A data file holds one text per line or row, and its label.")
    return content


def read_table(given: str, *, split: str) -> list[Row]:
    """Read a file, or a data set of the hub, into rows.

    Args:
        given: Path of a jsonl, csv, tsv or parquet file; or ``name/of-data-set`` or ``name/of-data-set:config``.
        split: Which part of a hub data set.

    Returns:
        At least one row. A row that is malformed by itself carries its ``problem``.

    Raises:
        DataError: If nothing can be read: no such file or data set, a folder, an unknown format, an empty file, a
            broken header, quotation or encoding of a csv or tsv file.
    """
    path = Path(given)
    suffix = path.suffix.lower()
    if path.is_dir():
        raise DataError(f"{given} is a folder, not a data file", hint=FORMATS)
    if not path.exists():
        if suffix not in SUFFIXES and HUB_ID.fullmatch(given):
            return _filled(_hub(given, split), given)
        raise DataError(f"there is no file {given}", hint="Check the path.")
    if suffix not in SUFFIXES:
        raise DataError(f"{given}: the format {suffix or 'without a suffix'!r} is not known", hint=FORMATS)
    if suffix == ".parquet":
        _content(path, given)
        return _filled(_parquet(path, given), given)
    content = _content(path, given)
    rows = _delimited(content, given, tab=suffix == ".tsv") if suffix in (".csv", ".tsv") else _jsonl(content)
    return _filled(list(rows), given)


def _filled(rows: list[Row], given: str) -> list[Row]:
    if not rows:
        raise DataError(f"{given} holds no rows", hint="A data file holds one text per row, and its label.")
    return rows
