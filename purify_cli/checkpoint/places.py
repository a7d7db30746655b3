"""Where a folder may be put: what may be replaced on request, and what an interrupted replacement left behind."""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from purify_cli.checkpoint.filenames import CONFIG, INDEX, is_tokenizer_file
from purify_cli.errors import OutputExists, StorageError

__all__ = ["check_place", "left_overs", "may_replace", "recover", "remove", "replacing", "storage_errors"]

MARKS: Final = frozenset({CONFIG, INDEX, "purification.json"})
"""A folder that holds one of these or a weight file is a model or a result."""

WRITTEN: Final = MARKS | {"README.md", "generation_config.json"}
"""Files of a model folder besides weights and tokenizer. Only a folder that holds nothing else is replaced."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSED: Final = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EIO,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)


@contextmanager
def storage_errors(path: Path) -> Generator[None, None, None]:
    """Turn a full or closed disk into a ``StorageError`` that names the target."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageError(
                f"{path} cannot be written: no space left ({error.strerror})",
                hint="Free some space or give another place; what was there before is untouched.",
            ) from error
        # A file that the block only reads may be closed too; that is another matter, and has its name in the error.
        ours = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(path.parent)
        if error.errno in REFUSED and ours:
            raise StorageError(
                f"{path} cannot be written: {error.strerror}", hint="Check the permissions, or give another place."
            ) from error
        raise


def may_replace(target: Path, *, overwrite: bool, keep: Iterable[Path] = ()) -> None:
    """Check that a folder may be written to a place; to be asked before a long computation, too.

    An absent or empty folder is free. A model or a result is replaced on request: a folder of plain files that are
    all named as those of a model are. A folder with anything else in it (a link, a folder, a file of another name) is
    never replaced. A replacement that was interrupted is finished or undone first.

    Args:
        target: Where the folder is to be. A link is followed.
        overwrite: Whether to replace a model or result.
        keep: Paths that must survive (models that are still read, the run folder, the working folder), whether they
            are there yet or not. The target must not be one of them or contain one; it may lie inside.

    Raises:
        OutputExists: If what is there, or is to be kept, stands in the way.
        StorageError: If the place cannot be written to.
    """
    target = Path(os.path.realpath(target))
    with storage_errors(target), replacing(target):
        check_place(target, overwrite=overwrite, keep=keep)


@contextmanager
def replacing(target: Path) -> Generator[None, None, None]:
    """Keep other processes from replacing, or recovering, anything in the folder of a target meanwhile."""
    if not target.parent.is_dir():
        yield
        return
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check_place(target: Path, *, overwrite: bool, keep: Iterable[Path]) -> None:
    """Do what ``may_replace`` does, inside ``replacing``."""
    for one in keep:
        if _covers(target, Path(os.path.realpath(one))):
            what = "is in use by this command" if target == Path(os.path.realpath(one)) else f"contains {one}"
            raise OutputExists(
                f"{target} {what} and cannot be replaced", hint="Give another place; a new folder inside is fine."
            )
    recover(target)
    if target.exists():
        _check_content(target, overwrite=overwrite)
    ground = next(parent for parent in target.parents if parent.exists())
    if not ground.is_dir():
        raise StorageError(f"{target} cannot be written: {ground} is no folder", hint="Give a place inside a folder.")
    if not os.access(ground, os.W_OK | os.X_OK):
        raise StorageError(
            f"{target} cannot be written: {ground} is closed for writing",
            hint="Check the permissions, or give another place.",
        )


def _covers(target: Path, kept: Path) -> bool:
    chain = (kept, *kept.parents)
    # Where the file system ignores case, or shows one folder in two places, paths differ and the folder is the same.
    return target in chain or (target.exists() and any(one.exists() and one.samefile(target) for one in chain))


def _check_content(target: Path, *, overwrite: bool) -> None:
    if not target.is_dir():
        raise OutputExists(f"{target} is a file, and a folder is to be written there", hint="Give another place.")
    with os.scandir(target) as entries:
        files = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    if not files:
        return
    weights = {name for name in files if name.endswith(".safetensors")}
    written = {name for name in files if name in WRITTEN or is_tokenizer_file(name)} | weights
    strange = sorted(name for name, plain in files.items() if not plain or name not in written)
    if strange:
        raise OutputExists(
            f"{target} holds {strange[0]!r}, which is no file of a model",
            hint="Give another place; such a folder is not replaced.",
        )
    if not weights and MARKS.isdisjoint(files):
        raise OutputExists(f"{target} holds no model", hint="Give another place; such a folder is not replaced.")
    if not overwrite:
        raise OutputExists(f"{target} exists", hint="Pass --overwrite to replace it, or give another place.")


def recover(target: Path) -> None:
    """Put the former folder back if a process was killed while it was being replaced; remove it if it was replaced."""
    for old in left_overs(target, "old"):
        if target.exists():
            remove(old)
        else:
            os.rename(old, target)


def left_overs(target: Path, kind: str) -> Iterator[Path]:
    """Yield what writers put beside a target and did not take away, in order of the names."""
    # The whole name is compared: ``.out.old-backup`` is somebody's own.
    wanted = re.compile(re.escape(f".{target.name}.{kind}-") + "[0-9a-f]{8}")
    if target.parent.is_dir():
        yield from sorted(target.parent / name for name in os.listdir(target.parent) if wanted.fullmatch(name))


def remove(path: Path) -> None:
    """Remove a file, link or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
