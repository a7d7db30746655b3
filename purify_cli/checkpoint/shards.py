"""One weight file, open for reading in pieces."""

import hashlib
import os
import pickle
import struct
import warnings
import weakref
import zipfile
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from purify_cli.checkpoint.header import DTYPE_NAMES, read_header
from purify_cli.checkpoint.safe_open import check_regular, open_regular
from purify_cli.errors import CheckpointError
from purify_cli.tensors import TensorSpec

__all__ = ["PickledShard", "SafetensorsShard"]

BLOCK: Final = 4 << 20
"""Bytes per read while hashing."""

UNREADABLE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)
"""What the restricted unpickler raises on bytes that were made up or damaged: it executes them as a program of a stack
machine and checks little on the way."""


@final
class SafetensorsShard:
    """A safetensors file. Bytes go from the page cache straight into a tensor's memory, never through a mapping.

    A mapping would be as fast, but its pages count as this process's memory, and a file that shrinks under a mapping
    kills the process.

    Raises:
        CheckpointError: If the file cannot be opened or is no sound safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        descriptor = open_regular(path)
        self._descriptor = descriptor
        self.close = weakref.finalize(self, os.close, descriptor)
        self.specs, self._offsets, self.metadata = read_header(descriptor, path)
        self._state = _state(os.fstat(descriptor))
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def read(self, name: str, start: int, stop: int) -> Tensor:
        """Read entries ``start`` to ``stop`` into fresh memory.

        Raises:
            CheckpointError: If the file has become shorter since it was opened.
        """
        spec = self.specs[name]
        size = spec.dtype.itemsize
        raw = torch.empty((stop - start) * size, dtype=torch.uint8)
        view = raw.numpy().data
        position, done = self._offsets[name] + start * size, 0
        while done < len(view):
            # One call reads at most 2 GiB, and may read less.
            try:
                count = os.preadv(self._descriptor, [view[done:]], position + done)
            except OSError as error:
                raise CheckpointError(
                    f"{self.path} cannot be read: {error.strerror}", hint="Is the disk in order?"
                ) from error
            if count == 0:
                raise CheckpointError(
                    f"{self.path} was cut off while it was read", hint="Leave the file alone and try again."
                )
            done += count
        return raw.view(spec.dtype)

    def sha256(self) -> str:
        """Hash the whole file.

        Raises:
            CheckpointError: If the file has changed since it was opened.
        """
        return _sha256(self.path, self._descriptor, self._state)


@final
class PickledShard:
    """A file of ``torch.save``, read as plain tensors.

    The unpickler is torch's restricted one (``weights_only``): it builds tensors and containers and calls nothing else.

    Raises:
        CheckpointError: If it holds anything but a table of ordinary tensors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata = {"format": "pt"}
        check_regular(path)
        self._state = _state_of(path)
        try:
            with warnings.catch_warnings(action="ignore"):
                # Only the zip form can be mapped.
                loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except UNREADABLE as error:
            raise CheckpointError(
                f"{path} is no pickle of plain tensors", hint="Convert it to safetensors where you trust it."
            ) from error
        loaded = _state_dict(loaded)
        if not isinstance(loaded, dict) or not loaded or not all(isinstance(name, str) for name in loaded):
            raise CheckpointError(f"{path} holds no table of tensors", hint="Save the model's state_dict.")
        self._tensors = {name: _plain(path, name, value) for name, value in loaded.items()}
        self.specs = {name: TensorSpec(name, t.dtype, tuple(t.shape)) for name, t in self._tensors.items()}

    def read(self, name: str, start: int, stop: int) -> Tensor:
        """Copy entries ``start`` to ``stop``."""
        return self._tensors[name].view(-1)[start:stop].clone()

    def sha256(self) -> str:
        """Hash the whole file.

        Raises:
            CheckpointError: If the file has changed since it was opened.
        """
        with os.fdopen(open_regular(self.path), "rb") as file:
            return _sha256(self.path, file.fileno(), self._state)

    def close(self) -> None:
        """Let go of the tensors, and with them of the mapping."""
        self._tensors = {}


def _state_dict(loaded: Any) -> Any:
    """Return the table under ``state_dict`` where trainers put it, beside no tensor: else those are what is loaded."""
    if isinstance(loaded, dict) and not any(isinstance(value, Tensor) for value in loaded.values()):
        return loaded.get("state_dict", loaded)
    return loaded


def _plain(path: Path, name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.dtype not in DTYPE_NAMES:
        raise CheckpointError(f"{path}: {name!r} is no ordinary tensor", hint="Save the model's state_dict only.")
    # A stride of 0 makes a tensor of any size from one stored number.
    if value.nbytes > value.untyped_storage().nbytes():
        raise CheckpointError(f"{path}: {name!r} claims more entries than are stored", hint="Do not trust this file.")
    return value.detach().contiguous()


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """Return the state of a file; None where it cannot be told, which nothing that was opened has."""
    try:
        return _state(os.stat(path))
    except OSError:
        return None


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _sha256(path: Path, descriptor: int, state: tuple[int, int, int] | None) -> str:
    """Hash an open file, which must be in the state in which it was first seen, and so must what its path names."""
    digest, block, position = hashlib.sha256(), memoryview(bytearray(BLOCK)), 0
    while count := os.preadv(descriptor, [block], position):
        digest.update(block[:count])
        position += count
    if _state_of(path) != state or _state(os.fstat(descriptor)) != state:
        raise CheckpointError(f"{path} was changed while it was read", hint="Leave the file alone and try again.")
    return digest.hexdigest()
