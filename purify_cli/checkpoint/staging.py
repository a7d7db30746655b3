"""Results that appear whole or not at all: write aside, flush to the disk, rename.

What is being written lies beside its target as ``.NAME.tmp-XXXXXXXX`` and is locked by its writer. A process that is
killed leaves it behind without the lock; the next write to the same target removes it. Locks end with their process,
whatever ended it, so that a living writer is never disturbed.

A folder cannot replace a non-empty folder in one step. The old one is first renamed to ``.NAME.old-XXXXXXXX``, then
the new one takes its place, then the old one is removed. Killed between the two renames, the target is absent and the
old one complete under its aside name; the next write puts it back first (so does ``recover``). At no moment is there
neither.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from purify_cli.errors import OutputExists, StorageError

__all__ = ["locked_aside", "publish_file", "recover", "staged_folder", "storage_errors", "write_text"]

MARKS: Final = ("purification.json", "config.json", "model.safetensors", "model.safetensors.index.json")
"""A folder that holds one of these is a model or a result, and may be replaced on request."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSED: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EIO}
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


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all; an existing one is replaced.

    Raises:
        StorageError: If the disk is full or closed.
    """
    with storage_errors(path), locked_aside(path, folder=False) as (aside, descriptor):
        data = memoryview(text.encode())
        while data:
            data = data[os.write(descriptor, data) :]
        publish_file(aside, descriptor, path)


def publish_file(aside: Path, descriptor: int, path: Path) -> None:
    """Flush a file written aside and put it in its place."""
    os.fsync(descriptor)
    os.replace(aside, path)
    _sync(path.parent)


@contextmanager
def locked_aside(target: Path, *, folder: bool) -> Generator[tuple[Path, int], None, None]:
    """Make a locked file or folder beside a target; remove it at the end if it is still there.

    Yields:
        Its path, and an open descriptor.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    while True:
        aside = target.parent / f".{target.name}.tmp-{secrets.token_hex(4)}"
        if folder:
            aside.mkdir()
            descriptor = os.open(aside, os.O_RDONLY)
        else:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if aside.exists():
            break
        # Another writer's sweep came between making and locking.
        os.close(descriptor)
    try:
        yield aside, descriptor
    finally:
        _remove(aside)
        os.close(descriptor)


@contextmanager
def staged_folder(target: Path, *, overwrite: bool) -> Generator[Path, None, None]:
    """Fill a folder aside and put it in its place when the block ends without an exception.

    Args:
        target: Where the folder is to be. A link is followed.
        overwrite: Replace a model or result that is there. Anything else is never replaced.

    Yields:
        An empty folder in the same parent.

    Raises:
        OutputExists: Before anything is written, if the target may not be replaced.
        StorageError: If the disk is full or closed; what was there before is untouched.
    """
    target = Path(os.path.realpath(target))
    recover(target)
    _may_replace(target, overwrite=overwrite)
    with storage_errors(target), locked_aside(target, folder=True) as (aside, _):
        yield aside
        for place, _, names in os.walk(aside):
            for name in names:
                _sync(Path(place) / name)
            _sync(Path(place))
        _may_replace(target, overwrite=overwrite)
        if not target.exists():
            os.rename(aside, target)
        else:
            old = target.parent / f".{target.name}.old-{secrets.token_hex(4)}"
            os.rename(target, old)
            try:
                os.rename(aside, target)
            except BaseException:
                os.rename(old, target)
                raise
            _sync(target.parent)
            shutil.rmtree(old)
        _sync(target.parent)


def recover(target: Path) -> None:
    """Put the former folder back if a process was killed while it was being replaced; remove it if it was replaced."""
    for old in sorted(target.parent.glob(f".{_literal(target.name)}.old-*")):
        if target.exists():
            _remove(old)
        else:
            os.rename(old, target)


def _may_replace(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise OutputExists(f"{target} is a file, and a folder is to be written there", hint="Give another place.")
    if not any(target.iterdir()):
        return
    if not any((target / mark).exists() for mark in MARKS):
        raise OutputExists(f"{target} holds something that is no model", hint="Give another place; it is not replaced.")
    if not overwrite:
        raise OutputExists(f"{target} exists", hint="Pass --overwrite to replace it, or give another place.")


def _sweep(target: Path) -> None:
    for left in target.parent.glob(f".{_literal(target.name)}.tmp-*"):
        with suppress(FileNotFoundError):
            descriptor = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left)
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)


def _literal(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
