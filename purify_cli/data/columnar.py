"""Parquet and Arrow files, read in parts, so that a small file that unpacks into a large one is refused in time."""

import json
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from purify_cli.data.rows import Row, Table
from purify_cli.errors import DataError

__all__ = ["class_names", "columnar_table"]

PART: Final = 256
"""Rows unpacked at once."""

EXPANSION: Final = 100
"""A file may unpack into so many times its own size: text is compressed to a tenth at best, repeated cells to
nothing. Ours."""

ALWAYS: Final = 256 << 20
"""Bytes into which every file may unpack."""

ROW: Final = 200
"""Bytes that a row takes in memory besides its cells, about."""


def class_names(names: Any) -> tuple[str, ...] | None:
    """Return the names of a ``ClassLabel`` feature, None where they are no such names."""
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def _declared(metadata: Any) -> dict[str, tuple[str, ...]]:
    """Find the class names that ``datasets`` writes into the schema of a file."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        labels = {
            str(column): class_names(feature.get("names"))
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return {column: names for column, names in labels.items() if names}


def _batches(path: Path) -> Generator[Any]:
    """Yield the record batches of a file; the first thing yielded is its schema."""
    import pyarrow as pa  # noqa: PLC0415 - loaded for these files only
    import pyarrow.parquet as pq  # noqa: PLC0415

    if path.suffix.lower() == ".parquet":
        with closing(pq.ParquetFile(path)) as file:
            yield file.schema_arrow
            yield from file.iter_batches(batch_size=PART, use_threads=False)
        return
    with pa.memory_map(str(path)) as source:
        try:
            reader = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            source.seek(0)
            file = pa.ipc.open_file(source)
            yield file.schema
            whole = (file.get_batch(number) for number in range(file.num_record_batches))
        else:
            yield reader.schema
            whole = reader
        for batch in whole:
            yield from (batch.slice(begin, PART) for begin in range(0, batch.num_rows, PART))


def _cells(batch: Any) -> tuple[dict[str, list[Any]], int]:
    """Return the columns of a batch as Python values, and how many bytes they took; left out are structures."""
    import pyarrow as pa  # noqa: PLC0415

    columns: dict[str, list[Any]] = {}
    size = ROW * batch.num_rows
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_struct(column.type) or pa.types.is_map(column.type) or pa.types.is_union(column.type):
            continue  # images and the like: neither a text nor a label
        cells = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        size += cells.nbytes
        try:
            columns[name] = cells.to_pylist()
        except (ValueError, OverflowError, ImportError):  # dates beyond what Python knows
            continue
    return columns, size


def columnar_table(path: Path, given: str) -> Table:
    """Read a parquet or Arrow file.

    Raises:
        DataError: If it is damaged, or unpacks into far more than its size.
    """
    import pyarrow as pa  # noqa: PLC0415

    kind = path.suffix.lower().removeprefix(".")
    most = max(ALWAYS, EXPANSION * path.stat().st_size)
    rows: list[Row] = []
    try:
        with closing(_batches(path)) as parts:
            declared = _declared(next(parts).metadata)
            for batch in parts:
                columns, size = _cells(batch)
                most -= size
                if most < 0:
                    raise DataError(
                        f"{given} unpacks into more than {EXPANSION} times its size", hint="Give a part of its rows."
                    )
                first = len(rows) + 1
                rows += (
                    Row(f"row {first + number}", dict(zip(columns, cells, strict=True)))
                    for number, cells in enumerate(zip(*columns.values(), strict=True))
                )
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise DataError(f"{given} is not a readable {kind} file ({reason})", hint="Write it again.") from error
    return Table(rows, declared)
