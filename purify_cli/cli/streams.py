"""The standard streams: a record is read from the first, and the other two never stop the work."""

import ctypes
import io
import os
import select
import socket
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Final, TextIO, final

from purify_cli.choices import Name
from purify_cli.errors import RunFolderError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["harden_streams", "piped_input"]

PATIENCE: Final = 1.0
"""Seconds of waiting for standard input before it is told."""

AHEAD: Final = 4096
"""Bytes that are looked at without being consumed; no pipe is smaller (POSIX guarantees 512, Linux gives 4096)."""

LONGEST: Final = 1 << 26
"""Characters of a record, at most. Ours: a model of 200 tensors needs about a thousandth of it."""


@final
class _Open(io.FileIO):
    """A file descriptor whose reader may go away: what is written then is dropped."""

    failed = False
    """Whether writing failed: told once, not again when Python closes the stream."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, or drop what nobody will read (``| head``)."""
        try:
            if not self.failed:
                return super().write(data)
        except BrokenPipeError:
            pass
        except OSError:
            self.failed = True
            raise
        return memoryview(data).nbytes


def harden_streams() -> None:
    """Replace standard output and error by ones that neither a reader's end nor a character set can break.

    A reader that has seen enough says nothing about the model: the exit code stays that of the command. A character
    that the stream cannot encode is written as its escape. A stream that was closed becomes the null device, so that
    no file that is opened later gets its number.
    """
    sys.stdout, sys.stderr = _hardened(sys.stdout), _hardened(sys.stderr)


def _hardened(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Open(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream is sys.stderr or stream.isatty(),
    )


def piped_input(model: object, run: Name | None, *, quiet: bool) -> str | None:
    """Read a record from standard input, to its end, where a command was given no model and input is no terminal.

    What does not begin with ``{`` is no record but somebody else's, for example the list of a ``while read`` loop. It
    is left unread where it can be looked at without being consumed (files; pipes on Linux; sockets).

    Args:
        model: The models that were named; anything true: nothing is read.
        run: ``--run`` if given: then a command can go on without a record.
        quiet: Do not say that it is waited for.

    Returns:
        The text; empty where input was; None where there is nothing to read or it is not for this command.

    Raises:
        RunFolderError: If it is no record and no run folder was named.
    """
    if model or sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return None
    with _told(quiet=quiet):
        ahead = _ahead()
        text = _read() if ahead is None or ahead[:1] in {b"", b"{"} else None
    if text is not None and (not text.strip() or text.lstrip().startswith("{")):
        return text
    if run is None:
        raise RunFolderError(
            "standard input is not a record",
            hint="Name the model, name the run folder with --run DIR, or use < /dev/null for purify-run.",
        )
    if not quiet:
        print(f"standard input is not a record; going on with --run {run}", file=sys.stderr)
    return None


@contextmanager
def _told(*, quiet: bool) -> Generator[None, None, None]:
    """Say what is waited for where it takes long."""
    sentence = "waiting for a record on standard input; name the model, or use < /dev/null"
    timer = Timer(PATIENCE, lambda: quiet or print(sentence, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _ahead() -> bytes | None:
    """Wait for input and return its beginning without consuming it, blanks left out; None where that is impossible."""
    try:
        descriptor = sys.stdin.fileno()
        kind = os.fstat(descriptor).st_mode
        select.select([descriptor], [], [])
        if stat.S_ISREG(kind):
            raw = os.pread(descriptor, AHEAD, os.lseek(descriptor, 0, os.SEEK_CUR))
        elif stat.S_ISFIFO(kind):
            raw = _ahead_in_pipe(descriptor)
        elif stat.S_ISSOCK(kind):
            with socket.socket(fileno=os.dup(descriptor)) as peer:
                raw = peer.recv(AHEAD, socket.MSG_PEEK)
        else:
            return None
    except OSError:
        return None
    # Blanks alone decide nothing: what is behind them can only be seen by reading on.
    return None if raw is None or (raw and not raw.strip()) else raw.lstrip()


def _ahead_in_pipe(descriptor: int) -> bytes | None:
    """Duplicate the beginning of a pipe by ``tee(2)``, which only Linux has."""
    tee = getattr(ctypes.CDLL(None), "tee", None)
    if tee is None:
        return None
    tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
    reader, writer = os.pipe()
    try:
        count = tee(descriptor, writer, AHEAD, 0)
        return None if count < 0 else os.read(reader, count) if count else b""
    finally:
        os.close(reader)
        os.close(writer)


def _read() -> str:
    hint = "Name the model as an argument, or use < /dev/null."
    try:
        text = sys.stdin.read(LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"standard input cannot be read: {error}", hint=hint) from error
    if len(text) > LONGEST:
        raise RunFolderError(f"standard input is longer than any record ({LONGEST:,} characters)", hint=hint)
    return text
