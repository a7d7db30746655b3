"""The header of a safetensors file: parsed as hostile text, and checked against the file before anything is read.

Format (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON object of that many
bytes, then the tensors' bytes, row-major and little-endian, without gaps.
"""

import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Final

import torch

from purify_cli.errors import CheckpointError
from purify_cli.tensors import TensorSpec

__all__ = ["DTYPES", "DTYPE_NAMES", "encode_header", "read_header"]

DTYPES: Final[dict[str, torch.dtype]] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Tensor types by their name in the header, as safetensors 0.8 knows them."""

PACKED: Final = frozenset({"F4", "F6_E2M3", "F6_E3M2"})
"""Types of the format that are smaller than a byte, which torch cannot hold one by one."""

DTYPE_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}

PREFIX: Final = 8
"""Bytes of the length field."""

LONGEST: Final = 16 << 20
"""Longest header, in bytes: 100,000 tensors have one of 10 MB. The format's own reader takes 100 MB, but as JSON in
memory that is up to 25 times as much."""

SMALLEST: Final = 1 << 20
"""A header may be this much longer than the tensors behind it, so that work and memory stay in proportion to the
file."""

MOST_DIMENSIONS: Final = 8
"""Extents of a tensor; weights have at most 5 (a convolution in space and time)."""

LARGEST_INTEGER: Final = 1 << 63
"""Offsets and extents are below this in any file that can exist."""

MAGICS: Final = (
    (b"PK", "a zip archive (as torch.save writes)"),
    (b"\x80", "a pickle"),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the weights themselves"),
)
"""First bytes of what is found under the name of a safetensors file."""


def read_header(descriptor: int, path: Path) -> tuple[dict[str, TensorSpec], dict[str, int], dict[str, str]]:
    """Read and check the header of an open file.

    Returns:
        What there is, in the order of the bytes; by name, the position of each tensor's first byte in the file; the
        metadata.

    Raises:
        CheckpointError: If it is no safetensors file, or its header and its size do not agree in every byte.
    """
    size = os.fstat(descriptor).st_size
    if size == 0:
        raise CheckpointError(f"{path} is empty", hint="Was the download interrupted? Get the file again.")
    start = os.pread(descriptor, 32, 0)
    for magic, what in MAGICS:
        # A header length of 0x4B50 ("PK") or 0x80 is possible; a true file then has zeros up to byte 8 and "{" there.
        if start.startswith(magic) and start[PREFIX : PREFIX + 1] != b"{":
            raise CheckpointError(
                f"{path} is no safetensors file but {what}",
                hint="Ask for the weights as safetensors; a pickle can run code when it is loaded.",
            )
    if size < PREFIX:
        raise _broken(f"{path} has {size} bytes, too few for a safetensors file")
    length = int.from_bytes(start[:PREFIX], "little")
    if length > LONGEST:
        raise _broken(f"{path} announces a header of {length} bytes, more than is allowed")
    if PREFIX + length > size:
        raise _broken(f"{path} announces a header of {length} bytes but has only {size} bytes in all")
    if length > SMALLEST + (size - PREFIX - length):
        raise _broken(f"{path} has a header of {length} bytes for {size - PREFIX - length} bytes of tensors")
    text = os.pread(descriptor, length, PREFIX)
    raw = _parse(text, path)
    metadata = raw.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken(f"{path}: the metadata in the header is no table of strings")
    found = _entries(raw, path, begin=PREFIX + length, size=size)
    return {spec.name: spec for spec, _ in found}, {spec.name: first for spec, first in found}, metadata


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise _broken(f"{path}: the header names a key twice")
        return table

    try:
        raw = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise _broken(f"{path}: the header is not JSON") from error
    if not isinstance(raw, dict):
        raise _broken(f"{path}: the header is no table of tensors")
    return raw


def _entries(raw: Mapping[str, Any], path: Path, *, begin: int, size: int) -> list[tuple[TensorSpec, int]]:
    """Check all entries of a header against a file whose tensors begin at a byte; return where each of them begins."""
    found = sorted((_entry(name, entry, path) for name, entry in raw.items()), key=lambda one: (one[1], one[2]))
    position = 0
    for spec, first, last in found:
        if first < position:
            raise _broken(f"{path}: {spec.name!r} overlaps the tensor before it")
        if first > position:
            raise _broken(f"{path}: there is a gap before {spec.name!r}")
        if begin + last > size:
            raise _broken(f"{path} is cut off: {spec.name!r} ends at byte {begin + last}, the file at {size}")
        position = last
    if begin + position != size:
        raise _broken(f"{path} has {size - begin - position} bytes that belong to no tensor")
    return [(spec, begin + first) for spec, first, _ in found]


def _broken(what: str) -> CheckpointError:
    return CheckpointError(what, hint="The file is damaged or was made to mislead; get it again from its source.")


def _entry(name: str, entry: Any, path: Path) -> tuple[TensorSpec, int, int]:
    def refuse(what: str) -> CheckpointError:
        return _broken(f"{path}: {name!r} {what}")

    def natural(values: Any) -> bool:
        return isinstance(values, list) and all(type(v) is int and 0 <= v < LARGEST_INTEGER for v in values)

    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise refuse("is not described by dtype, shape and data_offsets")
    if isinstance(entry["dtype"], str) and entry["dtype"] in PACKED:
        raise CheckpointError(
            f"{path}: {name!r} has the type {entry['dtype']}, which is not supported",
            hint="Convert the weights to float32, float16 or bfloat16 first.",
        )
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise refuse(f"has the unknown type {entry['dtype']!r:.40}")
    if isinstance(entry["shape"], list) and len(entry["shape"]) > MOST_DIMENSIONS:
        raise refuse(f"has a shape of {len(entry['shape'])} extents")
    if not natural(entry["shape"]):
        raise refuse("has a shape that is no list of natural numbers")
    offsets = entry["data_offsets"]
    if not natural(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise refuse("has offsets that are no pair of natural numbers in order")
    dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
    # An extent of zero hides what the others would give, which no library can count in 64 bits.
    strides = prod(max(extent, 1) for extent in shape) * dtype.itemsize
    if prod(shape) * dtype.itemsize != offsets[1] - offsets[0] or strides >= LARGEST_INTEGER:
        raise refuse(f"has {offsets[1] - offsets[0]} bytes, which its shape and type do not give")
    return TensorSpec(name, dtype, shape), offsets[0], offsets[1]


def encode_header(specs: Mapping[str, TensorSpec], metadata: Mapping[str, str]) -> bytes:
    """Return the length field and the header for tensors that follow in the order of ``specs``.

    Compact JSON, metadata first, padded with spaces to a multiple of 8: byte for byte what the format's own writer
    makes of the same tensors in the same order.

    Raises:
        CheckpointError: If a tensor's type has no name in the format.
    """
    table: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name, spec in specs.items():
        if spec.dtype not in DTYPE_NAMES:
            raise CheckpointError(
                f"{name!r} has type {spec.dtype}, which safetensors cannot hold", hint="Convert the checkpoint first."
            )
        offsets = [position, position + spec.nbytes]
        table[name] = {"dtype": DTYPE_NAMES[spec.dtype], "shape": list(spec.shape), "data_offsets": offsets}
        position += spec.nbytes
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(PREFIX, "little") + text
