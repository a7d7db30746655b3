"""A model on disk as one tensor source, whatever the number and the format of its files."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

from torch import Tensor

from purify_cli.checkpoint.jsonfiles import is_unicode, read_json
from purify_cli.checkpoint.layout import CheckpointFiles, resolve
from purify_cli.checkpoint.names import is_adapter, is_word_embedding
from purify_cli.checkpoint.quantised import refuse_quantised
from purify_cli.checkpoint.shards import PickledShard, SafetensorsShard
from purify_cli.checkpoint.weight_files import weight_map
from purify_cli.checkpoint.wrappers import unwrapped
from purify_cli.errors import CheckpointError
from purify_cli.tensors import TensorSpec

__all__ = ["Checkpoint", "open_checkpoint", "open_tensors"]

LONGEST_NAME: Final = 512
"""Characters of a tensor's name; real ones stay below 150."""

PEFT: Final = "base_model.model."
"""What peft puts before the names of a model's tensors."""


@final
class Checkpoint:
    """The tensors of a model, read lazily from its files: a ``TensorSource``.

    Files stay open until ``close`` (it is also a context manager) or until the object is gone.

    Args:
        files: Where the parts are.
        as_stored: Whether tensors keep the names that the files give them; else names are those of the model without
            its wrappers (see ``wrappers``), and quantised weights are refused.

    Raises:
        CheckpointError: If a file is damaged, the index and the files do not agree, two names mean one tensor, or the
            weights are an adapter's or quantised.
    """

    def __init__(self, files: CheckpointFiles, *, as_stored: bool) -> None:
        self.files = files
        self._shards: list[PickledShard | SafetensorsShard] = []
        self._shard_of: dict[str, PickledShard | SafetensorsShard] = {}
        specs: dict[str, TensorSpec] = {}
        for path in files.shards:
            shard = PickledShard(path) if files.pickled else SafetensorsShard(path)
            self._shards.append(shard)
            if not all(map(is_unicode, (*shard.metadata.keys(), *shard.metadata.values()))):
                raise CheckpointError(f"the metadata of {path} are no valid Unicode", hint="Do not trust this file.")
            for name, spec in shard.specs.items():
                if not is_unicode(name):
                    raise CheckpointError(
                        f"{path} holds a tensor {name!r}, whose name is no valid Unicode",
                        hint="No sound model has such a name; do not trust this file.",
                    )
                if len(name) > LONGEST_NAME:
                    raise CheckpointError(
                        f"{path} holds a tensor whose name has {len(name)} characters",
                        hint="No sound model has such a name; do not trust this file.",
                    )
                if name in specs:
                    raise CheckpointError(
                        f"{name!r} is in {self._shard_of[name].path.name} and in {path.name}",
                        hint="Get the model again.",
                    )
                specs[name] = spec
                self._shard_of[name] = shard
        if not specs:
            raise CheckpointError(f"{files.given} holds no tensors", hint="Is it the right file?")
        self._specs = specs
        if files.index:
            self._check_index(weight_map(files.index), files.index)
        self.stored_names: Mapping[str, str] = {name: name for name in specs}
        """Name of each tensor → its name in the files."""
        if not as_stored:
            _refuse_adapter(files.given, specs)
            self._unwrap()
            refuse_quantised(files.given, self._specs, self.config or {})

    def _unwrap(self) -> None:
        try:
            self.stored_names = unwrapped(self._specs)
        except ValueError as error:
            raise CheckpointError(
                f"{self.files.given} stores one tensor twice, as {error.args[0]!r} and as {error.args[1]!r}",
                hint="Only one of the two is ever used, and it is not known which; do not trust this model.",
            ) from error
        self._specs = {name: replace(self._specs[own], name=name) for name, own in self.stored_names.items()}
        self._shard_of = {name: self._shard_of[own] for name, own in self.stored_names.items()}

    def _check_index(self, table: Mapping[str, str], index: Path) -> None:
        # A name without a tensor changes nothing: it is what saving leaves of a tied one. structure.py tells it.
        if unlisted := next((name for name in self._specs if name not in table), None):
            raise CheckpointError(
                f"{self._shard_of[unlisted].path.name} holds {unlisted!r}, which {index.name} does not list",
                hint="Save the model again: versions of transformers differ in whether they load such a tensor.",
            )

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """What there is: shards in order of their names, tensors in order of their bytes."""
        return self._specs

    @property
    def metadata(self) -> dict[str, str]:
        """The files' own metadata, together."""
        return {key: value for shard in self._shards for key, value in shard.metadata.items()}

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """The content of config.json as plain data, None if there is none."""
        return read_json(self.files.config) if self.files.config else None

    @property
    def vocabulary(self) -> int | None:
        """Rows of the word embeddings, None if there are none by a known name."""
        return next(
            (spec.shape[0] for name, spec in self._specs.items() if is_word_embedding(name) and spec.shape), None
        )

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Read entries ``start`` to ``stop`` of a tensor into fresh memory.

        Returns:
            Shape (stop − start,), stored dtype, on the CPU.
        """
        numel = self._specs[name].numel
        stop = numel if stop is None else min(stop, numel)
        return self._shard_of[name].read(self.stored_names[name], start, max(start, stop))

    def shard_of(self, name: str) -> Path:
        """Return the file that holds a tensor."""
        return self._shard_of[name].path

    def shard_metadata(self, path: Path) -> Mapping[str, str]:
        """Return the metadata of one file."""
        return next(shard.metadata for shard in self._shards if shard.path == path)

    @cached_property
    def _sha256(self) -> str:
        hashes = {shard.path.name: shard.sha256() for shard in self._shards}
        if len(hashes) == 1:
            return next(iter(hashes.values()))
        lines = "".join(f"{name}  {value}\n" for name, value in sorted(hashes.items()))
        # File names are bytes to the operating system; this gives back the very ones.
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()

    def sha256(self) -> str:
        """Return the hash of the weights; the files are read once, the result is kept.

        One file: its SHA-256. Several: SHA-256 of the lines ``name  hash``, sorted by name, each ended by a newline
        (what ``sha256sum *.safetensors | awk '{print $2"  "$1}' | sha256sum`` prints).

        Raises:
            CheckpointError: If a file has changed since it was opened.
        """
        return self._sha256

    def close(self) -> None:
        """Close the files; nothing can be read any more."""
        for shard in self._shards:
            shard.close()

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refuse_adapter(given: str, names: Collection[str]) -> None:
    """Refuse tensors of which any is an adapter's, or all are."""
    all_peft = all(name.startswith(PEFT) for name in names) and not any(map(is_word_embedding, names))
    if adapter := next(iter(names) if all_peft else filter(is_adapter, names), None):
        raise CheckpointError(
            f"{given} holds {adapter!r}: an adapter, not a whole model",
            hint="Merge it into its base model first (peft: model.merge_and_unload(), then save_pretrained).",
        )


def open_tensors(path: Path) -> Checkpoint:
    """Open a file of our own: any tensors, under the names that they have in it.

    Raises:
        CheckpointError: If it cannot be read.
    """
    return Checkpoint(resolve(str(path)), as_stored=True)


def open_checkpoint(given: str, *, allow_pickle: bool = False, vocabulary: int | None = None) -> Checkpoint:
    """Find a model (see ``layout.resolve``) and open it.

    Raises:
        CheckpointError: If it cannot be read, must not be trusted, is quantised, or is known by a hash that it does not
            have.
    """
    checkpoint = Checkpoint(resolve(given, allow_pickle=allow_pickle, vocabulary=vocabulary), as_stored=False)
    wanted = checkpoint.files.sha256
    if wanted and checkpoint.sha256() != wanted:
        raise CheckpointError(
            f"the weights of {given} have SHA-256 {checkpoint.sha256()}, not {wanted}",
            hint="The local copy is damaged or was replaced; remove it and let it be fetched again.",
        )
    return checkpoint
