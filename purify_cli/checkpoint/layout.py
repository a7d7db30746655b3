"""From what the user typed to the files of a model.

``resolve`` looks only at names and places, and reads no tensor. Everything it returns lies inside the folder that was
given (or in the blob store of the hub cache, which links to itself).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, final

from purify_cli.checkpoint.aliases import ALIASES, Alias, alias_for, near_aliases
from purify_cli.checkpoint.hub import snapshot
from purify_cli.checkpoint.jsonfiles import read_json
from purify_cli.errors import CheckpointError, PickleRefused

__all__ = [
    "CONFIG",
    "INDEX",
    "TOKENIZER_FILES",
    "WEIGHTS",
    "CheckpointFiles",
    "index_metadata",
    "resolve",
    "weight_map",
]

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
CONFIG: Final = "config.json"

TOKENIZER_FILES: Final = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
"""What transformers may read for a tokenizer; the first seven hold the vocabulary, one of them must be there."""

VOCABULARY_FILES: Final = TOKENIZER_FILES[:7]

PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
OTHER_FORMATS: Final = {".gguf": "GGUF", ".h5": "Keras", ".msgpack": "Flax", ".onnx": "ONNX", ".npz": "NumPy"}
HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+(@[\w.\-/]+)?")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFiles:
    """Where the parts of a model are."""

    given: str
    """What the user typed."""
    shards: tuple[Path, ...]
    """Weight files, in order of their names."""
    index: Path | None = None
    """The file that says which tensor is in which shard, if there is one."""
    config: Path | None = None
    tokenizer: Path | None = None
    """The folder that holds tokenizer files, if any are there."""
    pickled: bool = False
    sha256: str | None = None
    """Hash the weights must have, where it is known."""


def resolve(given: str, *, allow_pickle: bool = False, vocabulary: int | None = None) -> CheckpointFiles:
    """Find the files of a model.

    Args:
        given: A weight file, a folder, an alias, or a hub id (``organisation/name``, ``@revision`` may follow). What
            exists as a path is taken as a path.
        allow_pickle: Accept pickled weights (they are still only read as plain tensors).
        vocabulary: Token rows of the checkpoint to compare with, for aliases that leave a choice (``bert-base``).

    Raises:
        PickleRefused: If there are only pickled weights and they are not allowed.
        HubUnavailable: If a hub id is neither cached nor reachable.
        CheckpointError: If there is nothing there, or something that is no model.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        return _folder(given, path, allow_pickle=allow_pickle)
    if path.exists():
        return _file(given, path, allow_pickle=allow_pickle)
    if alias := alias_for(given, vocabulary=vocabulary):
        return _alias(given, alias, allow_pickle=allow_pickle)
    looks_local = given.startswith((".", "/", "~")) or path.suffix in {".safetensors", *PICKLES, *OTHER_FORMATS}
    if not looks_local and HUB_ID.fullmatch(given):
        hub_id, _, revision = given.partition("@")
        return _folder(
            given, snapshot(hub_id, revision=revision or None, pickles=allow_pickle), allow_pickle=allow_pickle
        )
    near = near_aliases(given)
    names = f"Did you mean {' or '.join(near)}?" if near else f"Aliases are bert-base, {', '.join(sorted(ALIASES))}."
    raise CheckpointError(
        f"there is no file, folder or alias named {given!r}",
        hint="Check the path." if looks_local else f"{names} Hub ids have the form organisation/name.",
    )


def weight_map(index: Path) -> dict[str, str]:
    """Return which tensor an index puts into which file of its folder.

    Raises:
        CheckpointError: If the index is damaged, or names a file anywhere else than in its folder.
    """
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise CheckpointError(f"{index} has no weight_map", hint="Get the index again from its source.")
    for name, shard in table.items():
        if not isinstance(shard, str) or shard in {"", ".", ".."} or re.search(r"[/\\\0]", shard):
            raise CheckpointError(
                f"{index} puts {name!r} into {shard!r:.80}, which is no file of its folder",
                hint="An index may only name files beside itself; do not trust this model.",
            )
    return table


def _alias(given: str, alias: Alias, *, allow_pickle: bool) -> CheckpointFiles:
    folder = _package_folder(alias.package) or snapshot(alias.hub_id, revision=alias.revision, pickles=allow_pickle)
    return _folder(given, folder, allow_pickle=allow_pickle, sha256=alias.sha256)


def _package_folder(package: str | None) -> Path | None:
    # find_spec of a top-level name locates a package without running any of it.
    spec = find_spec(package) if package else None
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "model" / WEIGHTS).is_file():
            return Path(place) / "model"
    return None


def _file(given: str, path: Path, *, allow_pickle: bool) -> CheckpointFiles:
    if path.name.endswith(".safetensors.index.json"):
        return _sharded(given, path)
    if path.suffix in PICKLES:
        return _pickled(given, (path,), path.parent, allow_pickle=allow_pickle)
    if path.suffix != ".safetensors":
        what = OTHER_FORMATS.get(path.suffix, "unknown")
        raise CheckpointError(
            f"{path} is no safetensors file (format: {what})",
            hint="Give a .safetensors file, a folder, an alias or a hub id.",
        )
    if not path.is_file():
        raise CheckpointError(f"{path} is no ordinary file", hint="Give a .safetensors file or a folder.")
    return _files(given, (path,), path.parent)


def _folder(given: str, folder: Path, *, allow_pickle: bool, sha256: str | None = None) -> CheckpointFiles:
    if (folder / "adapter_config.json").exists():
        raise CheckpointError(
            f"{folder} holds an adapter, not a whole model",
            hint="Merge it into its base model first (peft: model.merge_and_unload(), then save_pretrained).",
        )
    names = sorted(entry.name for entry in folder.iterdir())
    weights = [name for name in names if name.endswith(".safetensors")]
    indices = [name for name in names if name.endswith(".safetensors.index.json")]
    # The order in which transformers looks.
    if WEIGHTS in weights:
        return _files(given, (folder / WEIGHTS,), folder, sha256=sha256)
    if INDEX in indices or len(indices) == 1:
        return _sharded(given, folder / (INDEX if INDEX in indices else indices[0]))
    if len(weights) == 1:
        return _files(given, (folder / weights[0],), folder, sha256=sha256)
    if weights:
        raise CheckpointError(
            f"{folder} holds {len(weights)} weight files and no index: {', '.join(weights[:4])}",
            hint=f"Give one file, or add {INDEX}.",
        )
    if pickles := [folder / name for name in names if name.startswith("pytorch_model") and name.endswith(".bin")] or [
        folder / name
        for name in names
        if name.endswith(PICKLES) and not name.startswith(("training_args", "optimizer", "scheduler", "rng_state"))
    ]:
        return _pickled(given, tuple(pickles), folder, allow_pickle=allow_pickle)
    for name in names:
        if what := OTHER_FORMATS.get(Path(name).suffix):
            raise CheckpointError(
                f"{folder} holds {what} weights only ({name})", hint="Convert the model to safetensors first."
            )
    raise CheckpointError(f"{folder} holds no weights", hint=f"A model folder has {WEIGHTS} or {INDEX}.")


def _sharded(given: str, index: Path) -> CheckpointFiles:
    shards = tuple(index.parent / name for name in sorted(set(weight_map(_inside(index, index.parent)).values())))
    for shard in shards:
        if shard.suffix != ".safetensors":
            raise CheckpointError(
                f"{index} names {shard.name}, which is no safetensors file", hint="Convert the model first."
            )
        if not shard.exists():
            raise CheckpointError(
                f"{shard} is missing, although {index.name} names it", hint="Download the missing shard."
            )
    return _files(given, shards, index.parent, index=index)


def _pickled(given: str, paths: tuple[Path, ...], folder: Path, *, allow_pickle: bool) -> CheckpointFiles:
    if not allow_pickle:
        raise PickleRefused(
            f"{paths[0]} is a pickle, which can run code when it is loaded",
            hint="Ask for safetensors, or pass --allow-pickle to read it as plain tensors only.",
        )
    return _files(given, paths, folder, pickled=True)


def _files(given: str, shards: tuple[Path, ...], folder: Path, **more: Any) -> CheckpointFiles:
    # A file named by the user is where the user says; what the folder brings along must lie inside it.
    if Path(given).expanduser() not in shards:
        for shard in shards:
            _inside(shard, folder)
    config = folder / CONFIG
    tokenizer = any((folder / name).exists() for name in VOCABULARY_FILES)
    for name in TOKENIZER_FILES if tokenizer else ():
        if (folder / name).exists():
            _inside(folder / name, folder)
    return CheckpointFiles(
        given=given,
        shards=shards,
        config=_inside(config, folder) if config.exists() else None,
        tokenizer=folder if tokenizer else None,
        **more,
    )


def _inside(path: Path, folder: Path) -> Path:
    real, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    # The hub cache keeps models--org--name/snapshots/<commit>/file as links to models--org--name/blobs/<hash>.
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if not real.is_relative_to(home) and not real.is_relative_to(blobs):
        raise CheckpointError(
            f"{path} is a link that leaves its folder",
            hint="Copy the file it points to into the folder, if you trust it.",
        )
    return path


def index_metadata(index: Path | None) -> Mapping[str, Any]:
    """Return what an index says besides the map (the total size)."""
    extra = read_json(index).get("metadata") if index else None
    return extra if isinstance(extra, dict) else {}
