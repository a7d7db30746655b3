"""Records as files of a run folder, and as text in a pipe."""

import json
import stat
from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import ValidationError

from purify_cli.checkpoint import write_text
from purify_cli.errors import RunFolderError
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.records.base import Record
from purify_cli.records.kinds import RECORDS

__all__ = ["dump", "find_record", "parse_record", "save_record"]

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


def find_record(run: RunFolder, kind: type[R]) -> R | None:
    """Return the record of a kind in a run folder, or None where there is none.

    Raises:
        RunFolderError: If the file is there but is no such record.
    """
    path, hint = run.path / FILES[kind], "Remove it or choose another --run."
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


def save_record(run: RunFolder, record: Record) -> None:
    """Write a record, replacing an older one of its kind at once or not at all."""
    run.create()
    write_text(run.path / FILES[type(record)], dump(record))
