"""Results that appear whole or not at all: write aside, flush to the disk, rename.

What is being written lies beside its target as ``.NAME.tmp-XXXXXXXX`` and is locked by its writer. A process that is
killed leaves it behind without the lock; the next write to the same target removes it. Locks end with their process,
whatever ended it, so that a living writer is never disturbed.

A folder cannot replace a non-empty folder in one step. The old one is first renamed to ``.NAME.old-XXXXXXXX``, then
the new one takes its place, then the old one is removed. Killed between the two renames, the target is absent and the
old one complete under its aside name; the next write puts it back first (``places.recover``). At no moment is there
neither.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from purify_cli.checkpoint.places import check_place, left_overs, may_replace, remove, replacing, storage_errors

__all__ = ["locked_aside", "publish_file", "staged_folder", "write_bytes", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all; an existing one is replaced.

    Raises:
        StorageError: If the disk is full or closed.
    """
    # What a file name is made of need not be UTF-8; in JSON its escape is the thing itself.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; an existing one is replaced, a link is and not what it points to.

    Raises:
        StorageError: If the disk is full or closed.
    """
    with storage_errors(path), locked_aside(path, folder=False) as (aside, descriptor):
        data = memoryview(content)
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
        try:
            if folder:
                aside.mkdir()
                descriptor = os.open(aside, os.O_RDONLY)
            else:
                descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:
            if target.parent.is_dir():
                continue  # another writer's sweep came between making and opening
            raise
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if aside.exists():
            break
        os.close(descriptor)  # the same between opening and locking
    try:
        yield aside, descriptor
    finally:
        remove(aside)
        os.close(descriptor)


@contextmanager
def staged_folder(target: Path, *, overwrite: bool, keep: Iterable[Path] = ()) -> Generator[Path, None, None]:
    """Fill a folder aside and put it in its place when the block ends without an exception.

    Args:
        target: Where the folder is to be. A link is followed.
        overwrite: Replace a model or result that is there. Anything else is never replaced (``may_replace``).
        keep: What must survive: the target must not be one of these paths or contain one.

    Yields:
        An empty folder in the same parent.

    Raises:
        OutputExists: Before anything is written, if the target may not be replaced.
        StorageError: If the disk is full or closed; what was there before is untouched.
    """
    target = Path(os.path.realpath(target))
    keep = tuple(keep)
    may_replace(target, overwrite=overwrite, keep=keep)
    with storage_errors(target), locked_aside(target, folder=True) as (aside, _):
        yield aside
        for place, _, names in os.walk(aside):
            for name in names:
                _sync(Path(place) / name)
            _sync(Path(place))
        with replacing(target):
            check_place(target, overwrite=overwrite, keep=keep)
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


def _sweep(target: Path) -> None:
    for left in left_overs(target, "tmp"):
        with suppress(FileNotFoundError):
            descriptor = os.open(left, os.O_RDONLY | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(left)
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
