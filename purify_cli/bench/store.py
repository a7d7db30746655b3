"""The results file: JSON Lines that survive ``kill -9``, a power cut and several writers.

A row is appended with one write to a file opened with ``O_APPEND``, flushed to the disk, under a lock on the file, so
that it is there whole or not at all. What a crash can leave is a last line without its end: readers ignore it and the
next writer cuts it off. Of two rows with one key the later holds.
"""

import fcntl
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from purify_cli.bench.plan import BenchPlan
from purify_cli.bench.report.view import PLAN_KEY
from purify_cli.checkpoint.places import storage_errors
from purify_cli.errors import RunFolderError, StorageError

__all__ = ["Row", "Store", "claim", "exclusive"]

Row = Mapping[str, Any]
"""One line: ``key``, ``kind``, marks, provenance, and ``result`` or ``failed``."""


@final
class Store:
    """The rows of a results file by key; several processes may write to it at once.

    Args:
        path: Created with its folder at the first row.

    Raises:
        RunFolderError: If the file is there and is no results file, or a line before the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Row] = {}
        self._read = 0
        self._number = 0
        self.refresh()

    def refresh(self) -> None:
        """Read what has been appended since the last look, by whomever."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be read: {error.strerror}", hint="Choose --results.") from error
        *whole, torn = new.split(b"\n")
        for i, line in enumerate(whole):
            # Blocks of a file that was growing when the power went may come back as zeros: of the last line only.
            last = i == len(whole) - 1 and not torn
            row = self._parsed(line, last=last)
            if row is not None:
                self.rows[str(row["key"])] = row
            elif last:
                return
            self._number += 1
            self._read += len(line) + 1

    def _parsed(self, line: bytes, *, last: bool) -> Row | None:
        try:
            row = json.loads(line)
            _ = row["key"], row["kind"]
        except (ValueError, KeyError, TypeError) as error:
            if last:
                return None
            raise RunFolderError(
                f"line {self._number + 1} of {self.path} is no row of results ({error})",
                hint="Remove that line, or give another --results.",
            ) from error
        return row

    def add(self, row: Row) -> None:
        """Append a row and flush it to the disk.

        Raises:
            StorageError: If the disk is full or closed; then the file holds what it held before.
        """
        line = (json.dumps(row, ensure_ascii=True, allow_nan=False) + "\n").encode()
        with storage_errors(self.path), exclusive(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as descriptor:
            self.refresh()
            # The lock is ours: what refresh did not take as rows nobody is still writing.
            end = os.fstat(descriptor).st_size
            whole = min(self._read, end)
            if whole < end:
                os.ftruncate(descriptor, whole)
            written = os.write(descriptor, line)
            if written < len(line):
                os.ftruncate(descriptor, whole)
                raise StorageError(f"{self.path} cannot be written: no space left", hint="Free some space; go on then.")
            os.fsync(descriptor)
        self.refresh()


@contextmanager
def exclusive(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Generator[int]:
    """Hold a file's lock; waits for whoever holds it. A lock ends with its process, whatever ended that.

    Yields:
        An open descriptor of the file, which is made if it is not there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def claim(store: Store, plan: BenchPlan) -> None:
    """Make a results file the plan's own, or see that it is.

    The plan is a row of the file, so that reports need nothing else. A changed plan of the same name is written anew:
    rows whose settings it changed no longer count and are measured again.

    Raises:
        RunFolderError: If the file holds the results of a plan of another name.
    """
    row = store.rows.get(PLAN_KEY)
    record = plan.as_record()
    if row is not None and row["result"] == record:
        return
    if row is not None and row["result"]["bench"]["name"] != plan.bench.name:
        raise RunFolderError(
            f"{store.path} holds results from another plan, {row['result']['bench']['name']!r}",
            hint="Give each plan a --results file of its own.",
        )
    if row is None and store.rows:
        raise RunFolderError(f"{store.path} names no plan", hint="Give another --results.")
    store.add({"key": PLAN_KEY, "kind": PLAN_KEY, "result": record})
