"""Masks on disk: an ordinary safetensors file of packed bits.

One uint8 tensor per comparable tensor, under the tensor's own name, of ⌈n/8⌉ bytes. Entry i of the tensor (row-major)
is bit i mod 8 of byte ⌊i/8⌋, the lowest bit first: ``numpy.unpackbits(packed, count=n, bitorder="little")``. Unused
bits of the last byte are 0. The metadata holds, as text: ``format`` (``purify-mask-1``), ``ratio``, ``count`` (bits
set), ``dimensions`` (bits in all) and ``shapes`` (a JSON object, name → list).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from purify_cli.checkpoint.reader import Checkpoint, open_tensors
from purify_cli.checkpoint.writer import write_tensors
from purify_cli.errors import RunFolderError
from purify_cli.selection.bits import Mask
from purify_cli.tensors import InMemory

__all__ = ["FORMAT", "read_mask", "write_mask"]

FORMAT: Final = "purify-mask-1"


def write_mask(path: Path, mask: Mask, metadata: Mapping[str, str]) -> str:
    """Write a mask, replacing an older one whole.

    Args:
        path: Ends in ``.safetensors``.
        mask: What to write.
        metadata: More metadata (hashes, settings); the format's own keys win.

    Returns:
        SHA-256 of the file.

    Raises:
        StorageError: If the disk is full or closed; an older file is untouched.
    """
    own = {
        "format": FORMAT,
        "ratio": repr(mask.ratio),
        "count": str(mask.count),
        "dimensions": str(mask.dimensions),
        "shapes": json.dumps({name: list(shape) for name, shape in mask.shapes.items()}),
    }
    return write_tensors(path, InMemory(mask.bits), metadata={**metadata, **own})


def read_mask(path: Path) -> Mask:
    """Read a mask into memory and check it against its own metadata.

    Raises:
        RunFolderError: If the file is no mask, or contradicts itself.
        CheckpointError: If it is no safetensors file at all.
    """
    with open_tensors(path) as stored:
        return _checked(path, stored)


def _checked(path: Path, stored: Checkpoint) -> Mask:
    hint = "Let `purify purify` write it again."
    if stored.metadata.get("format") != FORMAT:
        raise RunFolderError(f"{path} is not a mask of the format {FORMAT}", hint=hint)
    try:
        shapes = {
            str(name): tuple(int(n) for n in shape) for name, shape in json.loads(stored.metadata["shapes"]).items()
        }
        ratio, count = float(stored.metadata["ratio"]), int(stored.metadata["count"])
        dimensions = int(stored.metadata["dimensions"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise RunFolderError(f"the metadata of {path} is damaged: {error}", hint=hint) from error
    if set(shapes) != set(stored.specs) or any(n < 0 for shape in shapes.values() for n in shape):
        raise RunFolderError(f"the shapes of {path} do not belong to its tensors", hint=hint)
    mask = Mask(ratio, count, {name: stored.read(name) for name in stored.specs}, shapes)
    for name, packed in mask.bits.items():
        numel = mask.specs[name].numel
        if packed.dtype != torch.uint8 or len(packed) != (numel + 7) // 8:
            raise RunFolderError(f"{name!r} of {path} does not hold one bit per dimension", hint=hint)
        if numel % 8 and int(packed[-1]) >> numel % 8:
            raise RunFolderError(f"{name!r} of {path} has bits set beyond its end", hint=hint)
    if mask.dimensions != dimensions or sum(mask.per_tensor.values()) != count:
        raise RunFolderError(f"{path} does not hold the {count} of {dimensions} bits it announces", hint=hint)
    return mask
