"""Files that may be something else: a link out of their folder, or a pipe or device, which blocks whoever reads it."""

import os
import stat
from pathlib import Path

from purify_cli.errors import CheckpointError

__all__ = ["check_inside", "check_regular", "listed", "open_regular"]

KINDS = {
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def check_regular(path: Path) -> None:
    """Refuse what is no ordinary file, links followed, without opening it.

    Raises:
        CheckpointError: If it is something else, or is not there.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise _closed(path, error) from error
    _check(path, mode)


def check_inside(path: Path) -> None:
    """Refuse a file that is no ordinary one, or is a link that leaves its folder.

    Raises:
        CheckpointError: If it is, or is not there.
    """
    real, home = Path(os.path.realpath(path)), Path(os.path.realpath(path.parent))
    # The hub cache keeps models--org--name/snapshots/<commit>/file as links to models--org--name/blobs/<hash>.
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if not real.is_relative_to(home) and not real.is_relative_to(blobs):
        raise CheckpointError(
            f"{path} is a link that leaves its folder",
            hint="Copy the file it points to into the folder, if you trust it.",
        )
    check_regular(path)


def open_regular(path: Path) -> int:
    """Open an ordinary file for reading and return its descriptor; nothing is waited for.

    Raises:
        CheckpointError: If it cannot be opened, or is no ordinary file.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _closed(path, error) from error
    try:
        _check(path, os.fstat(descriptor).st_mode)
    except CheckpointError:
        os.close(descriptor)
        raise
    return descriptor


def listed(folder: Path) -> list[str]:
    """Return the sorted names in a folder.

    Raises:
        CheckpointError: If it cannot be read.
    """
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise _closed(folder, error) from error


def _check(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise CheckpointError(f"{path} is no ordinary file but {kind}", hint="Put the file itself there.")


def _closed(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"{path} cannot be opened: {error.strerror}", hint="Check the path and its permissions.")
