"""Files beside a model's weights that hold weights too: named, because whoever loads the model may get those."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from purify_cli.checkpoint.companions import LISTED, walk
from purify_cli.checkpoint.difference import Difference
from purify_cli.checkpoint.filenames import ADAPTER_CONFIG, CONFIG, is_weight_file
from purify_cli.checkpoint.layout import CheckpointFiles
from purify_cli.checkpoint.model_folder import SAVED
from purify_cli.checkpoint.safe_open import listed
from purify_cli.checkpoint.weight_files import loaded_files
from purify_cli.errors import CheckpointError, printable

__all__ = ["unexamined_files"]

OTHER_CONFIG: Final = re.compile(r"config\.\d.*\.json")
"""Configuration for one version of transformers and later ones."""

TRAINING_FOLDER: Final = re.compile(r"global_step\d+")
"""DeepSpeed's part of a trainer's checkpoint."""


def unexamined_files(files: CheckpointFiles) -> Iterator[Difference]:
    """Yield what in a model's folder holds weights, or says which are loaded, and was not examined.

    State of a training and earlier checkpoints in a trainer's output are left out: a model is never loaded from them
    unless they are named. Nothing is yielded for a file that the user named and that lies in no model folder.
    """
    if files.lone:
        return
    examined = {path.name for path in (*files.shards, *([files.index] if files.index else ()))}
    try:
        found = loaded_files(files.folder)
        loaded = found if found.by_default else None
    except CheckpointError as error:
        yield Difference(kind="weights", subject="folder", detail=printable(str(error)), unexamined=True)
        loaded = None
    taken = {path.name for path in (*loaded.shards, loaded.index) if path} if loaded else set[str]()
    names = listed(files.folder)
    beside = [name for name in names if is_weight_file(name) and name not in examined]
    beside = [name for name in beside if not (files.folder / name).is_dir()]
    for name in sorted(beside, key=lambda name: name not in taken)[:LISTED]:
        what = "is what transformers loads from the folder" if name in taken else "holds weights"
        yield _weights(name, f"{what} and was not examined{_adapter(name, names)}")
    if len(beside) > LISTED:
        yield _weights("folder", f"holds {len(beside) - LISTED} more weight files that were not examined")
    for name in names:
        if (files.folder / name).is_dir():
            yield from _folder(files.folder / name)
        elif OTHER_CONFIG.fullmatch(name):
            detail = f"may be read instead of {CONFIG} and was not examined"
            yield Difference(kind="config", subject=printable(name), detail=detail, unexamined=True)
    if ADAPTER_CONFIG in names and not any(map(_is_adapter, names)):
        yield Difference(
            kind="file", subject=ADAPTER_CONFIG, detail="asks for an adapter, which is not there, on top of the weights"
        )


def _weights(subject: str, detail: str) -> Difference:
    return Difference(kind="weights", subject=printable(subject), detail=detail, unexamined=True)


def _is_adapter(name: str) -> bool:
    return name in {"adapter_model.safetensors", "adapter_model.bin"}


def _adapter(name: str, names: list[str]) -> str:
    """Return what becomes of an adapter beside whole weights."""
    if _is_adapter(name) and ADAPTER_CONFIG in names:
        return "; where peft is installed, transformers puts it on top of the weights"
    return ""


def _folder(folder: Path) -> Iterator[Difference]:
    """Yield one difference for the weight files anywhere in a sub-folder."""
    if folder.is_symlink() or SAVED.fullmatch(folder.name) or TRAINING_FOLDER.fullmatch(folder.name):
        return
    found = sorted(place for place, entry in walk(folder) if entry is not None and is_weight_file(entry.name))
    if found:
        rest = f" and {len(found) - 1} more in its folder" if len(found) > 1 else ""
        yield _weights(f"{folder.name}/{found[0]}", f"holds weights{rest} and was not examined")
