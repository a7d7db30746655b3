"""Files and hub data sets as rows that know where they came from.

Text formats (jsonl, json, csv, tsv) are read strictly by Python's own parsers, so that every malformed line has a
number and no value is reinterpreted: ``datasets`` infers one type per column, which turns a text ``NA`` into a missing
value and a column of dates into timestamps, and names no line when it fails.
"""

import stat
from pathlib import Path
from typing import Final

from purify_cli.data.columnar import columnar_table
from purify_cli.data.delimited import delimited_rows
from purify_cli.data.encodings import decoded
from purify_cli.data.hub import HUB_ID, hub_table
from purify_cli.data.json_rows import json_rows
from purify_cli.data.rows import Table
from purify_cli.errors import DataError

__all__ = ["data_path", "read_table"]

JSON: Final = (".jsonl", ".ndjson", ".json")
DELIMITED: Final = (".csv", ".tsv")
COLUMNAR: Final = (".parquet", ".arrow")
FORMATS: Final = "Use jsonl, json, csv, tsv, parquet or arrow, or the id of a data set on the hub."

ADVICE: Final = {
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".7z"), "Unpack it first."),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "Save the sheet as csv (UTF-8)."),
    ".txt": 'Name it by what it holds: a table as .csv or .tsv, objects like {"text": "…", "label": 0} as .jsonl.',
}
"""What to do about formats that are not read."""

LARGEST: Final = 4 << 30
"""Bytes of the largest file read: all of it goes into memory."""


def data_path(given: str) -> Path:
    """Return the path that was given, ``~`` standing for the home folder as it does in a shell."""
    try:
        return Path(given).expanduser()
    except RuntimeError:  # no such user
        return Path(given)


def _file(path: Path, given: str) -> bool:
    """Tell whether there is a file; what is there and none is refused, unopened: a pipe would be waited for."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{given} cannot be read ({reason})", hint="Check the path and its permissions.") from error
    if stat.S_ISDIR(found.st_mode):
        raise DataError(f"{given} is a folder, not a data file", hint=f"Name a file in it. {FORMATS}")
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{given} is a pipe or a device, not a data file", hint="Save what it gives in a file first.")
    if found.st_size > LARGEST:
        raise DataError(
            f"{given} has {found.st_size / 2**30:.1f} GiB; {LARGEST >> 30} GiB are the most",
            hint="Give a part of its rows.",
        )
    return True


def _content(path: Path, given: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{given} cannot be read ({error.strerror})", hint="Check its permissions.") from error
    if not content.strip():
        raise DataError(f"{given} is empty", hint="A data file holds one text per line or row, and its label.")
    return content


def read_table(given: str) -> Table:
    """Read a file, or a data set of the hub, into rows.

    Args:
        given: Path of a jsonl, json, csv, tsv, parquet or arrow file; or ``name/of-data-set`` or
            ``name/of-data-set:config``.

    Returns:
        At least one row. A row that is malformed by itself carries its ``problem``.

    Raises:
        DataError: If nothing can be read: no such file or data set, a folder or a pipe, an unknown format, an empty
            file, a broken header, quotation, array or encoding.
    """
    path = data_path(given)
    suffix = path.suffix.lower()
    known = suffix in (*JSON, *DELIMITED, *COLUMNAR)
    if not _file(path, given):
        if known or not HUB_ID.fullmatch(given):
            raise DataError(f"there is no file {given}", hint="Check the path.")
        table = hub_table(given)
    elif not known:
        raise DataError(
            f"{given}: the format {suffix or 'without a suffix'!r} is not known", hint=ADVICE.get(suffix, FORMATS)
        )
    elif suffix in COLUMNAR:
        table = columnar_table(path, given)
    elif suffix in DELIMITED:
        table = Table(delimited_rows(decoded(_content(path, given), given), given, tab=suffix == ".tsv"))
    else:
        table = Table(json_rows(decoded(_content(path, given), given), given))
    if not table.rows:
        raise DataError(f"{given} holds no rows", hint="A data file holds one text per row, and its label.")
    return table
