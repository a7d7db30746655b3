"""The folder in which the commands of one investigation leave their results for each other."""

import json
import os
import stat
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar, final

from pydantic import ValidationError

from purify_cli.checkpoint import write_text
from purify_cli.choices import Name
from purify_cli.errors import RunFolderError, StorageError
from purify_cli.records.base import Record
from purify_cli.records.kinds import RECORDS

__all__ = ["RunFolder", "dump", "parse_record"]

R = TypeVar("R", bound=Record)

FILES: Final[Mapping[type[Record], str]] = {record: f"{kind}.json" for kind, record in RECORDS.items()}

LONGEST: Final = 1 << 26
"""Bytes of a record, at most. Ours: a model of 200 tensors needs about a thousandth of it."""


def dump(record: Record) -> str:
    """Write a record as JSON, ready for a file or for standard output."""
    return json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"


def parse_record(text: str, origin: str) -> Record:
    """Read a record back.

    Raises:
        RunFolderError: If the text is no record of this tool, or of a version it does not know.
    """
    try:
        document = json.loads(text)
        # JSON can escape halves of a surrogate pair; only those that stand for bytes of a file name can be written.
        json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
        return RECORDS[document["kind"]].model_validate(document)
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError) as error:
        detail = str(error).splitlines()[0]
        raise RunFolderError(
            f"{origin} is not a record this version can read ({detail})",
            hint="Run the command that makes it again, or name the model as an argument.",
        ) from error


@final
@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths and records of one run; nothing is created before something is written."""

    path: Path

    @classmethod
    def of(cls, given: Name | None) -> Self:
        """Return the run folder that an option names, else ``purify-run``."""
        return cls(Path("purify-run" if given is None else given).absolute())

    @property
    def curvature(self) -> Path:
        """Stored Ĥ."""
        return self.path / "curvature.safetensors"

    @property
    def indicator(self) -> Path:
        """Stored scores."""
        return self.path / "indicator.safetensors"

    @property
    def mask(self) -> Path:
        """Packed bits of what was reset."""
        return self.path / "mask.safetensors"

    def create(self) -> None:
        """Make the folder if it is not there.

        Raises:
            StorageError: If it cannot be made, or something else is in its place.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the run folder {self.path} cannot be made: {error.strerror}", hint="Choose another with --run DIR."
            ) from error

    def find(self, kind: type[R]) -> R | None:
        """Return the record of a kind, or None where there is none.

        Raises:
            RunFolderError: If the file is there but is no such record.
        """
        path, hint = self.path / FILES[kind], "Remove it or choose another --run."
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > LONGEST:
                raise RunFolderError(f"{path} is no file of a record's size", hint=hint)
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{path} cannot be read: {error}", hint=hint) from error
        record = parse_record(text, str(path))
        if not isinstance(record, kind):
            raise RunFolderError(f"{path} holds a record of another kind", hint="Remove it or choose another --run.")
        return record

    def save(self, record: Record) -> None:
        """Write a record, replacing an older one of its kind at once or not at all."""
        self.create()
        write_text(self.path / FILES[type(record)], dump(record))

    @contextmanager
    def logged(self, command: str, settings: Mapping[str, Any]) -> Generator[None, None, None]:
        """Append one line to ``log.jsonl`` when the block ends: what ran, how long, and how it ended."""
        begin, clock, outcome = time.time(), time.perf_counter(), "failed"
        try:
            yield
            outcome = "done"
        finally:
            if self.path.is_dir():
                line = {
                    "command": command,
                    "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin)),
                    "seconds": round(time.perf_counter() - clock, 3),
                    "outcome": outcome,
                    "settings": dict(settings),
                }
                # A log that cannot be written must not hide how the command ended.
                with suppress(OSError):
                    _append(self.path / "log.jsonl", json.dumps(line, default=str) + "\n")


def _append(path: Path, line: str) -> None:
    """Append to an ordinary file; a link is not followed, and nobody is waited for at the other end of a pipe."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
