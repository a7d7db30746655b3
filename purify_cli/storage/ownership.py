"""What in a run folder this tool has made, and may replace; everything else there is somebody's own.

A run folder may be any folder, a project's root included. Records are known by their kind, tensor files by their
metadata, models by the hash that a record of the folder names. What its content cannot tell (rows, a plot, a damaged
file) counts as this tool's where the folder holds a record of this tool.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from purify_cli.checkpoint import open_checkpoint, open_tensors
from purify_cli.checkpoint.jsonfiles import read_json
from purify_cli.errors import CheckpointError, OutputExists, RunFolderError, StorageError
from purify_cli.inputs.identity import ModelFacts
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.records.attack import AttackRecord
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.kinds import RECORDS
from purify_cli.storage.record_files import find_record

__all__ = ["MANIFEST", "MODEL_METADATA", "model_place", "require_own_files"]

MANIFEST: Final = "purification.json"
"""In every model that ``purify purify`` writes."""

MODEL_METADATA: Final = {"format": "pt", "made_by": "purify"}
"""Of the weights of every model that a command writes: known by it where the command was stopped before its record."""

MARKS: Final = {
    "curvature.safetensors": "recipe",
    "indicator.safetensors": "indicator",
    "mask.safetensors": "dimensions",
    "planted.safetensors": "dimensions",
}
"""Tensor file → a key of its metadata that no other tool writes there."""


def require_own_files(run: RunFolder, *names: str) -> None:
    """Refuse a run folder in which something else stands where files are to be written; before anything is computed.

    Args:
        run: The folder; it need not be there.
        names: Of the files that the command writes or removes.

    Raises:
        StorageError: If it is no folder, or closed for writing.
        OutputExists: If a file of one of these names was not written by this tool.
    """
    if not os.path.lexists(run.path):
        return
    if not run.path.is_dir():
        raise StorageError(f"the run folder {run.path} is no folder", hint="Choose another with --run DIR.")
    if not os.access(run.path, os.W_OK | os.X_OK):
        raise StorageError(f"the run folder {run.path} is closed for writing", hint="Choose another with --run DIR.")
    for name in names:
        if not _is_ours(run, run.path / name):
            raise OutputExists(
                f"{run.path / name} was not written by purify and would be replaced",
                hint="Move it away, or choose another folder with --run DIR.",
            )


def model_place(run: RunFolder, name: str, *, by: str | None = None) -> Path:
    """Return the folder of a run folder that a model is written to.

    Args:
        run: The run folder.
        name: ``suspect``, ``clean``, ``finetuned`` or ``purified``.
        by: Name of a file that marks models made here; without one the metadata of their weights do, or the records.

    Raises:
        OutputExists: If a folder stands there that was not made here.
    """
    place = run.path / name
    if not place.is_symlink() and not (place.is_dir() and any(place.iterdir())):
        return place
    marked = by is not None and (place / by).is_file()
    if place.is_symlink() or not (marked or (by is None and _made_here(run, place))):
        raise OutputExists(
            f"{place} was not made by purify, or was changed since",
            hint="Move it away, or choose another folder with --run DIR.",
        )
    return place


def _is_ours(run: RunFolder, path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return True
    if stat.S_ISLNK(status.st_mode):
        return True  # the link is replaced, what it points to is not
    if not stat.S_ISREG(status.st_mode):
        return False
    if status.st_size == 0:
        return True
    if path.suffix == ".json":
        return _is_record(path)
    with suppress(CheckpointError):
        if path.name in MARKS:
            with open_tensors(path) as tensors:
                return MARKS[path.name] in tensors.metadata
    return any(_is_record(run.path / f"{kind}.json") for kind in RECORDS)


def _is_record(path: Path) -> bool:
    with suppress(CheckpointError):
        return path.is_file() and read_json(path).get("kind") in RECORDS
    return False


def _made(run: RunFolder) -> Iterator[str]:
    """Yield the hashes of the models that the records of a run folder say were made."""
    facts: list[ModelFacts | None] = []
    with suppress(RunFolderError):
        if attack := find_record(run, AttackRecord):
            # A language model's start is the user's own; a classifier's may have been trained here.
            facts += [attack.suspect, attack.start if attack.task == "classification" else None]
    with suppress(RunFolderError):
        if finetune := find_record(run, FinetuneRecord):
            facts += [finetune.output]
    yield from (one.sha256 for one in facts if one is not None)


def _made_here(run: RunFolder, folder: Path) -> bool:
    with suppress(CheckpointError), open_checkpoint(str(folder)) as model:
        return MODEL_METADATA.items() <= model.metadata.items() or model.sha256() in set(_made(run))
    return False
