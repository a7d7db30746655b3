"""Which weight files of a folder a model is loaded from: the rules of transformers' ``from_pretrained``.

In this order (``_get_resolved_checkpoint_files`` and ``get_distributed_checkpoint_dir`` of transformers 5.23): parts of
a distributed checkpoint; the file that config.json names as ``transformers_weights``; ``model.safetensors``;
``model.safetensors.index.json``; ``pytorch_model.bin``; ``pytorch_model.bin.index.json``. Where it depends on more than
the folder which files are loaded, the folder is refused. One that transformers cannot load, but that holds one model
only, is read all the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from purify_cli.checkpoint.filenames import (
    ADAPTER_CONFIG,
    CONFIG,
    INDEX,
    PICKLED_INDEX,
    PICKLED_WEIGHTS,
    WEIGHTS,
    is_distributed,
    is_index,
    is_pickle,
    other_format,
    part_of_model,
    shard_number,
)
from purify_cli.checkpoint.jsonfiles import json_items, read_json
from purify_cli.checkpoint.safe_open import check_inside, check_regular, listed
from purify_cli.errors import CheckpointError

__all__ = ["LoadedFiles", "check_config_keys", "indexed", "loaded_files", "weight_map", "whole"]

NAMED: Final = "transformers_weights"
"""Key of config.json that names the weight file to load."""

NAMEABLE: Final = re.compile(r"[^/\\\0]*\.safetensors(\.index\.json)?")
"""What transformers accepts there; a file of a sub-folder it accepts too."""

REFUSED_KEYS: Final[Mapping[str, str]] = {
    "attribute_map": "gives other keys the meaning of known ones",
    "configuration_files": "names other configuration files for other versions of transformers",
}
"""Keys of config.json that make it mean something else than it says."""

SHOWN: Final = 4
"""File names that a message lists."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFiles:
    """The files that hold a model's weights."""

    shards: tuple[Path, ...]
    """In order of their names."""
    index: Path | None = None
    by_default: bool = True
    """Whether ``from_pretrained`` takes them without being told to."""

    @property
    def pickled(self) -> bool:
        """Whether they are pickles."""
        return self.shards[0].suffix != ".safetensors"


def loaded_files(folder: Path) -> LoadedFiles:
    """Find the weight files of a folder.

    Raises:
        CheckpointError: If there are none, if it depends on more than the folder which are loaded, or if something
            else is in the place of a file.
    """
    names = listed(folder)
    for name in names:
        # Whatever its name is: the program that loads the model may open it, and would wait.
        if (folder / name).exists() and not (folder / name).is_dir():
            check_regular(folder / name)
    if part := next(filter(is_distributed, names), None):
        raise CheckpointError(
            f"{folder} holds parts of a distributed checkpoint ({part})",
            hint="Load it where it was saved and save the whole model, as one file or with an index.",
        )
    named = check_config_keys(folder / CONFIG) if CONFIG in names else None
    if named is not None:
        path = folder / named
        if not path.exists():
            raise CheckpointError(
                f"{path} is missing, although {CONFIG} names it as {NAMED}", hint="Get the model again from its source."
            )
        return indexed(path) if is_index(named) else _one(path)
    if ADAPTER_CONFIG in names and WEIGHTS in names and CONFIG not in names:
        raise CheckpointError(
            f"{folder} holds an {ADAPTER_CONFIG} and no {CONFIG}: what is loaded is the base model that it names",
            hint=f"Put the {CONFIG} of the whole model there, or remove {ADAPTER_CONFIG}.",
        )
    for name in (WEIGHTS, INDEX, PICKLED_WEIGHTS, PICKLED_INDEX):
        if name in names:
            return indexed(folder / name) if is_index(name) else _one(folder / name)
    return _only(folder, names)


def check_config_keys(config: Path) -> str | None:
    """Return the weight file that a config.json names, if it does.

    Raises:
        CheckpointError: If a key makes the file mean something else than it says.
    """
    check_inside(config)
    table = read_json(config)
    keys = {key for key, _ in json_items(table)}
    for key, what in REFUSED_KEYS.items():
        if key in keys:
            raise CheckpointError(
                f"{config}: {key} {what}", hint=f"Do not trust this model, or write a {CONFIG} without that key."
            )
    named = table.get(NAMED)
    if any(key == NAMED and value is not None for part in table.values() for key, value in json_items(part)):
        raise CheckpointError(f"{config} names weight files for a part of the model", hint=f"Remove {NAMED}.")
    if named is not None and not (isinstance(named, str) and NAMEABLE.fullmatch(named)):
        raise CheckpointError(
            f"{config}: {NAMED} names {named!r:.80}, which is no safetensors file of its folder",
            hint=f"Do not trust this model, or remove {NAMED}.",
        )
    return named


def _one(*paths: Path, by_default: bool = True) -> LoadedFiles:
    for path in paths:
        check_inside(path)
    return LoadedFiles(shards=paths, by_default=by_default)


def indexed(index: Path, *, by_default: bool = True) -> LoadedFiles:
    """Find the files that an index names.

    Raises:
        CheckpointError: If the index is damaged, or a file is missing or of another format.
    """
    check_inside(index)
    suffix = ".safetensors" if ".safetensors.index." in index.name else ".bin"
    shards = tuple(index.parent / name for name in sorted(set(weight_map(index).values())))
    for shard in shards:
        if shard.suffix != suffix:
            what = "safetensors file" if suffix == ".safetensors" else "pickle"
            raise CheckpointError(f"{index} names {shard.name}, which is no {what}", hint="Convert the model first.")
        if not shard.exists():
            raise CheckpointError(
                f"{shard} is missing, although {index.name} names it", hint="Download the missing shard."
            )
        check_inside(shard)
    return LoadedFiles(shards=shards, index=index, by_default=by_default)


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


def _only(folder: Path, names: Sequence[str]) -> LoadedFiles:
    """Find the weights of a folder that has none of the names transformers looks for."""
    if any(name.startswith("adapter_model.") for name in names):
        raise _adapter(folder)
    if len(indices := [name for name in names if is_index(name)]) == 1:
        return indexed(folder / indices[0], by_default=False)
    for found in ([n for n in names if n.endswith(".safetensors")], [n for n in names if is_pickle(n)]):
        if not found:
            continue
        if not _complete(found):
            whole(folder / found[0])
            if len(found) > 1:
                raise CheckpointError(
                    f"{folder} holds {len(found)} weight files and no index: {', '.join(found[:SHOWN])}",
                    hint=f"Give one file, or add {INDEX}.",
                )
        return _one(*(folder / name for name in found), by_default=False)
    for name in names:
        if what := other_format(name):
            raise CheckpointError(
                f"{folder} holds {what} weights only ({name})", hint="Convert the model to safetensors first."
            )
    raise CheckpointError(f"{folder} holds no weights", hint=f"A model folder has {WEIGHTS} or {INDEX}.")


def whole(path: Path) -> None:
    """Refuse a file whose name says that it is not a whole model.

    Raises:
        CheckpointError: If it is a shard, a partition or an adapter.
    """
    what = part_of_model(path.name)
    if what is None:
        return
    if what.startswith("an adapter"):
        raise _adapter(path)
    raise CheckpointError(f"{path} is {what}", hint="Give the folder or the index of the whole model.")


def _complete(names: Sequence[str]) -> bool:
    """Tell whether files are all the shards of one model."""
    first = shard_number(names[0])
    return first is not None and [shard_number(name) for name in names] == [
        (first[0], at, len(names)) for at in range(1, len(names) + 1)
    ]


def _adapter(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} {'holds' if path.is_dir() else 'is'} an adapter, not a whole model",
        hint="Merge it into its base model first (peft: model.merge_and_unload(), then save_pretrained).",
    )
