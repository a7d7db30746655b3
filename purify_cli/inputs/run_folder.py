"""The folder in which the commands of one investigation leave their results for each other."""

import json
import os
import stat
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from purify_cli.choices import Name
from purify_cli.errors import StorageError

__all__ = ["RunFolder"]


@final
@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run; nothing is created before something is written."""

    path: Path

    @classmethod
    def of(cls, given: Name | None) -> Self:
        """Return the run folder that an option names, else ``purify-run``."""
        return cls(Path("purify-run" if given is None else given).absolute())

    @property
    def curvature(self) -> Path:
        """Stored Ĥ."""
        return self.path / "curvature.safetensors"

    @property
    def indicator(self) -> Path:
        """Stored scores."""
        return self.path / "indicator.safetensors"

    @property
    def mask(self) -> Path:
        """Packed bits of what was reset."""
        return self.path / "mask.safetensors"

    def create(self) -> None:
        """Make the folder if it is not there.

        Raises:
            StorageError: If it cannot be made, or something else is in its place.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the run folder {self.path} cannot be made: {error.strerror}", hint="Choose another with --run DIR."
            ) from error

    @contextmanager
    def logged(self, command: str, settings: Mapping[str, Any]) -> Generator[None, None, None]:
        """Append one line to ``log.jsonl`` when the block ends: what ran, how long, and how it ended."""
        begin, clock, outcome = time.time(), time.perf_counter(), "failed"
        try:
            yield
            outcome = "done"
        finally:
            if self.path.is_dir():
                line = {
                    "command": command,
                    "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin)),
                    "seconds": round(time.perf_counter() - clock, 3),
                    "outcome": outcome,
                    "settings": dict(settings),
                }
                # A log that cannot be written must not hide how the command ended.
                with suppress(OSError):
                    _append(self.path / "log.jsonl", json.dumps(line, default=str) + "\n")


def _append(path: Path, line: str) -> None:
    """Append to an ordinary file; a link is not followed, and nobody is waited for at the other end of a pipe."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
