"""From a folder that holds models to the one model that is meant."""

import os
import re
from pathlib import Path
from typing import Final

from purify_cli.checkpoint.filenames import is_weight_file
from purify_cli.checkpoint.safe_open import listed, open_regular
from purify_cli.errors import CheckpointError

__all__ = ["SAVED", "model_folder"]

SAVED: Final = re.compile(r"checkpoint-(\d{1,12})")
"""Sub-folders of a trainer's output, by the step at which each was saved."""

COMMIT: Final = re.compile(r"[0-9a-f]{40}")

SHOWN: Final = 4
"""Folders that a message lists."""


def model_folder(folder: Path) -> Path:
    """Return the folder that holds the model, where one above it was given.

    That is a snapshot of a model in the hub cache (``models--organisation--name``: the one that ``refs/main`` names, or
    the only one), or the only checkpoint in a trainer's output. Any other folder is returned as it is.

    Raises:
        CheckpointError: If the model could be in several.
    """
    names = listed(folder)
    if any(map(is_weight_file, names)):
        return folder
    snapshots = folder if folder.name == "snapshots" else folder / "snapshots"
    if snapshots.is_dir():
        within = [snapshots / name for name in listed(snapshots)]
        main = _main(snapshots.parent)
        within = [one for one in within if one.name == main] or within
    else:
        saved = sorted((int(step[1]), name) for name in names if (step := SAVED.fullmatch(name)))
        within = [folder / name for _, name in saved]
    within = [one for one in within if one.is_dir() and not one.is_symlink()]
    if len(within) == 1:
        return within[0]
    if within or (within := [folder / name for name in names if _may_hold_model(folder / name)]):
        raise CheckpointError(
            f"{folder} holds no weights itself, but folders that may",
            hint=f"Give one of them: {', '.join(str(one.relative_to(folder)) for one in within[:SHOWN])}"
            f"{', …' * (len(within) > SHOWN)}.",
        )
    return folder


def _may_hold_model(folder: Path) -> bool:
    try:
        return folder.name.startswith("models--") or any(map(is_weight_file, os.listdir(folder)))
    except OSError:
        return False


def _main(repository: Path) -> str | None:
    """Return the commit that the hub cache holds as the default branch, if it says one."""
    try:
        with os.fdopen(open_regular(repository / "refs" / "main"), "rb") as file:
            commit = file.read(64).decode("ascii", errors="replace").strip()
    except CheckpointError:
        return None
    return commit if COMMIT.fullmatch(commit) else None
