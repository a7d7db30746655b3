"""From what the user typed to the files of a model.

``resolve`` looks only at names and places, and reads no tensor. Everything it returns lies inside the folder that was
given (or in the blob store of the hub cache, which links to itself).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, final

from purify_cli.checkpoint.aliases import ALIASES, alias_for, near_aliases
from purify_cli.checkpoint.filenames import (
    CONFIG,
    INDEX,
    WEIGHTS,
    is_index,
    is_pickle,
    is_weight_file,
    other_format,
    tokenizer_files,
)
from purify_cli.checkpoint.hub import snapshot
from purify_cli.checkpoint.jsonfiles import read_json
from purify_cli.checkpoint.model_folder import model_folder
from purify_cli.checkpoint.safe_open import check_inside, check_regular, listed
from purify_cli.checkpoint.weight_files import LoadedFiles, check_config_keys, indexed, loaded_files, whole
from purify_cli.errors import CheckpointError, PickleRefused

__all__ = ["CheckpointFiles", "index_metadata", "resolve"]

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

    @property
    def folder(self) -> Path:
        """The folder that the weights lie in."""
        return self.shards[0].parent

    @property
    def lone(self) -> bool:
        """Whether they are one weight file that the user named and that lies in no model folder."""
        return self.config is None and Path(self.given).expanduser() in self.shards


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
        folder = _package_folder(alias.package) or snapshot(alias.hub_id, revision=alias.revision, pickles=allow_pickle)
        return _folder(given, folder, allow_pickle=allow_pickle, sha256=alias.sha256)
    looks_local = given.startswith((".", "/", "~")) or is_weight_file(path.name)
    if not looks_local and HUB_ID.fullmatch(given):
        hub_id, _, revision = given.partition("@")
        fetched = snapshot(hub_id, revision=revision or None, pickles=allow_pickle)
        return _folder(given, fetched, allow_pickle=allow_pickle, from_hub=True)
    near = near_aliases(given)
    names = f"Did you mean {' or '.join(near)}?" if near else f"Aliases are bert-base, {', '.join(sorted(ALIASES))}."
    raise CheckpointError(
        f"there is no file, folder or alias named {given!r}",
        hint="Check the path." if looks_local else f"{names} Hub ids have the form organisation/name.",
    )


def _package_folder(package: str | None) -> Path | None:
    # find_spec of a top-level name locates a package without running any of it.
    spec = find_spec(package) if package else None
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "model" / WEIGHTS).is_file():
            return Path(place) / "model"
    return None


def _file(given: str, path: Path, *, allow_pickle: bool) -> CheckpointFiles:
    check_regular(path)
    if not is_index(path.name) and not path.name.endswith(".safetensors") and not is_pickle(path.name):
        raise CheckpointError(
            f"{path} is no safetensors file (format: {other_format(path.name) or 'unknown'})",
            hint="Give a .safetensors file, a folder, an alias or a hub id.",
        )
    whole(path)
    # A file that the user names is where the user says, be it a link; what its folder brings along must lie inside.
    found = indexed(path) if is_index(path.name) else LoadedFiles(shards=(path,))
    if path.parent.joinpath(CONFIG).exists():
        check_config_keys(path.parent / CONFIG)
    return _files(given, found, path.parent, allow_pickle=allow_pickle)


def _folder(
    given: str, folder: Path, *, allow_pickle: bool, sha256: str | None = None, from_hub: bool = False
) -> CheckpointFiles:
    folder = model_folder(folder)
    # Of a model on the hub not everything is fetched, and what was not may be what is loaded.
    fetch_hint = "Pass --allow-pickle if its weights are pickled, or download it and give its folder."
    if from_hub and not any(map(is_weight_file, listed(folder))):
        raise CheckpointError(f"{given} has no weights as safetensors", hint=fetch_hint)
    found = loaded_files(folder)
    if from_hub and not found.by_default:
        raise CheckpointError(
            f"{given} has no {WEIGHTS} and no {INDEX}, and {found.shards[0].name} is not what is loaded from it",
            hint=fetch_hint,
        )
    return _files(given, found, folder, allow_pickle=allow_pickle, sha256=sha256)


def _files(
    given: str, found: LoadedFiles, folder: Path, *, allow_pickle: bool, sha256: str | None = None
) -> CheckpointFiles:
    if found.pickled and not allow_pickle:
        raise PickleRefused(
            f"{found.shards[0]} is a pickle, which can run code when it is loaded",
            hint="Ask for safetensors, or pass --allow-pickle to read it as plain tensors only.",
        )
    config = folder / CONFIG
    tokenizer = tokenizer_files(folder)
    for path in tokenizer:
        check_inside(path)
    return CheckpointFiles(
        given=given,
        shards=found.shards,
        index=found.index,
        config=config if config.exists() else None,
        tokenizer=folder if tokenizer else None,
        pickled=found.pickled,
        sha256=sha256 if found.index is None else None,
    )


def index_metadata(index: Path | None) -> Mapping[str, Any]:
    """Return what an index says besides the map (the total size)."""
    extra = read_json(index).get("metadata") if index else None
    return extra if isinstance(extra, dict) else {}
