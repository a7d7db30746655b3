"""Writing models: in bounded pieces, in the layout they came in, whole or not at all."""

import errno
import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import torch

from purify_cli.checkpoint.filenames import CONFIG, INDEX, WEIGHTS, tokenizer_files
from purify_cli.checkpoint.header import encode_header
from purify_cli.checkpoint.layout import CheckpointFiles, index_metadata
from purify_cli.checkpoint.places import storage_errors
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.staging import locked_aside, publish_file, write_text
from purify_cli.checkpoint.weight_files import NAMED
from purify_cli.errors import CheckpointError
from purify_cli.tensors import Computed, TensorSource

__all__ = ["write_and_open", "write_model", "write_tensors"]

BLOCK: Final = 1 << 20
"""Bytes per write. Small tensors are gathered up to this size, large ones are pulled in pieces of it. A block of 1 MiB
is still in a second-level cache when it is written and hashed, and its memory is reused without asking the system."""

AHEAD: Final = 8
"""Blocks that may wait for the hash."""


def write_tensors(path: Path, source: TensorSource, *, metadata: Mapping[str, str]) -> str:
    """Pull all tensors of a source into a safetensors file, in its order; an existing file is replaced at the end.

    Memory is bounded by a few blocks of 1 MiB. The next block is computed, and the last ones are hashed, beside the
    writing.

    Returns:
        SHA-256 of the file, in hexadecimal.

    Raises:
        StorageError: If the disk is full or closed; an existing file is untouched.
        CheckpointError: If a source gives other types or lengths than it announced.
    """
    with storage_errors(path), locked_aside(path, folder=False) as (aside, descriptor):
        sha = _fill(descriptor, source, metadata)
        publish_file(aside, descriptor, path)
    return sha


def write_and_open(path: Path, source: TensorSource, *, metadata: Mapping[str, str]) -> tuple[Checkpoint, str]:
    """Do what ``write_tensors`` does, and open what was written before it gets its name.

    Another process may put a file of its own under that name at any time; the one that is returned stays this one's.

    Returns:
        The tensors, and the SHA-256 of the file.
    """
    with storage_errors(path), locked_aside(path, folder=False) as (aside, descriptor):
        sha = _fill(descriptor, source, metadata)
        written = Checkpoint(CheckpointFiles(given=str(path), shards=(aside,)), as_stored=True)
        publish_file(aside, descriptor, path)
    return written, sha


def _fill(descriptor: int, source: TensorSource, metadata: Mapping[str, str]) -> str:
    """Write all tensors of a source into an empty file; return the SHA-256."""
    header = encode_header(source.specs, metadata)
    _reserve(descriptor, len(header) + sum(spec.nbytes for spec in source.specs.values()))
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256") as pool:
        digest, waiting = hashlib.sha256(), deque[Future[None]]()
        for block in _ahead(_blocks(header, source)):
            waiting.append(pool.submit(digest.update, block))
            left = memoryview(block)
            while left:
                left = left[os.write(descriptor, left) :]
            if len(waiting) > AHEAD:
                waiting.popleft().result()
    return digest.hexdigest()


def _reserve(descriptor: int, size: int) -> None:
    """Have the file system find room for the whole file, so that a full disk is told before the work is done."""
    if size < BLOCK or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
            raise


def _ahead(blocks: Iterator[bytearray | memoryview]) -> Iterator[bytearray | memoryview]:
    """Yield the same blocks, the next one being made in a thread of its own meanwhile."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block


def _blocks(header: bytes, source: TensorSource) -> Iterator[bytearray | memoryview]:
    """Yield the bytes of the file; nothing that was yielded is changed afterwards."""
    pending = bytearray(header)
    for name, spec in source.specs.items():
        size = BLOCK // spec.dtype.itemsize
        for start in range(0, spec.numel, size):
            stop = min(start + size, spec.numel)
            chunk = source.read(name, start, stop)
            if chunk.dtype != spec.dtype or chunk.shape != (stop - start,):
                raise CheckpointError(
                    f"{name!r} was announced as {spec.dtype} and came as {chunk.dtype}, {tuple(chunk.shape)}",
                    hint="This is a fault of the program, not of the model.",
                )
            data = chunk.detach().cpu().contiguous().view(torch.uint8).numpy().data
            if len(data) + len(pending) < BLOCK:
                pending += data
                continue
            if pending:
                yield pending
                pending = bytearray()
            yield data
    if pending:
        yield pending


def write_model(
    folder: Path,
    weights: TensorSource,
    *,
    like: Checkpoint,
    config: Mapping[str, Any],
    tokenizer: CheckpointFiles,
    metadata: Mapping[str, str],
) -> None:
    """Write a model that ``from_pretrained`` loads into an existing folder.

    Tensors that ``like`` holds go into the same file at the same place; those it does not hold go to the end of the
    last file; those that ``weights`` does not hold are left out. Tensors are written in the types of ``weights``.

    Args:
        folder: Where to; use ``staged_folder``.
        weights: What to write.
        like: The checkpoint whose files, order and metadata are kept. The files get the
            names that transformers gives them.
        config: Content of config.json.
        tokenizer: Whose tokenizer files are copied; none are where it has none.
        metadata: Added to the metadata of each file.

    Raises:
        StorageError: If the disk is full or closed.
    """
    shards: dict[Path, list[str]] = {path: [] for path in like.files.shards}
    for name in like.specs:
        if name in weights.specs:
            shards[like.shard_of(name)].append(name)
    shards[like.files.shards[-1]] += [name for name in weights.specs if name not in like.specs]
    held = [(path, names) for path, names in shards.items() if names]
    # The only names that mean the same in every version: whatever the files were called, these are what is loaded.
    files = {f"model-{at:05d}-of-{len(held):05d}.safetensors": one for at, one in enumerate(held, start=1)}
    if len(held) == 1:
        files = {WEIGHTS: held[0]}
    specs = weights.specs
    for file, (path, names) in files.items():
        own = {**like.shard_metadata(path), **metadata}
        part = Computed({name: specs[name] for name in names}, weights.read)
        write_tensors(folder / file, part, metadata=own)
    if list(files) != [WEIGHTS]:
        total = sum(spec.nbytes for spec in weights.specs.values())
        index = {
            "metadata": {**index_metadata(like.files.index), "total_size": total},
            "weight_map": {name: file for file, (_, names) in files.items() for name in names},
        }
        write_text(folder / INDEX, json.dumps(index, indent=2, sort_keys=True) + "\n")
    config = {key: value for key, value in config.items() if key != NAMED}
    write_text(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
    for path in tokenizer_files(tokenizer.tokenizer) if tokenizer.tokenizer else ():
        with storage_errors(folder / path.name):
            shutil.copyfile(path, folder / path.name)
