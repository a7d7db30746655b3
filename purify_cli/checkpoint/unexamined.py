"""Files beside a model's weights that hold weights too: named, because whoever loads the model may get those."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from purify_cli.checkpoint.difference import Difference
from purify_cli.checkpoint.filenames import ADAPTER_CONFIG, CONFIG, is_weight_file
from purify_cli.checkpoint.layout import CheckpointFiles
from purify_cli.checkpoint.loaded import loaded_files
from purify_cli.checkpoint.nested import SAVED
from purify_cli.checkpoint.regular import listed
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
    if files.config is None and Path(files.given).expanduser() in files.shards:
        return
    examined = {path.name for path in (*files.shards, *([files.index] if files.index else ()))}
    try:
        loaded = loaded_files(files.folder)
    except CheckpointError as error:
        yield Difference(kind="weights", subject="folder", detail=printable(str(error)), unexamined=True)
        loaded = None
    taken = (
        {path.name for path in (*loaded.shards, loaded.index) if path} if loaded and loaded.by_default else set[str]()
    )
    names = listed(files.folder)
    for name in names:
        if name in examined:
            continue
        if (files.folder / name).is_dir():
            yield from _folder(files.folder / name)
        elif is_weight_file(name):
            what = "is what transformers loads from the folder" if name in taken else "holds weights"
            yield _weights(name, f"{what} and was not examined{_adapter(name, names)}")
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
    if SAVED.fullmatch(folder.name) or TRAINING_FOLDER.fullmatch(folder.name):
        return
    found = sorted(
        os.path.relpath(os.path.join(place, name), folder.parent)
        for place, _, names in os.walk(folder)
        for name in names
        if is_weight_file(name)
    )
    if found:
        rest = f" and {len(found) - 1} more in {printable(folder.name)}" if len(found) > 1 else ""
        yield _weights(found[0], f"holds weights{rest} and was not examined")
