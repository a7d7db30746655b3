"""Models from the hub: the local cache first, then the network, and never more than weights and texts."""

import os
from pathlib import Path
from typing import Final

from purify_cli.checkpoint.filenames import INDEX, PICKLED_INDEX, PICKLED_WEIGHTS, TOKENIZER_FILES, WEIGHTS
from purify_cli.errors import HubUnavailable

__all__ = ["snapshot"]

WANTED: Final[tuple[str, ...]] = ("*.safetensors", "*.json", "*.txt", "*.jinja", *TOKENIZER_FILES)
"""Weights as safetensors, configuration, tokenizer files: nothing that can run code."""

UNWANTED: Final[tuple[str, ...]] = ("*/*", "consolidated*")
"""Sub-folders (other formats, other tools) and a second copy of the weights that some models carry."""

LOCAL_HINT: Final = "Download the model where there is a network and give the path of its folder instead."


def snapshot(hub_id: str, *, revision: str | None = None, pickles: bool = False) -> Path:
    """Return the folder of a model in the local hub cache, downloading it if it is not there.

    A cached model is taken as it is, without asking the hub for a newer one: a run must not change because a
    repository did. The environment (``HF_HUB_CACHE``, ``HF_HOME``, ``HF_HUB_OFFLINE``) is read at each call.

    Args:
        hub_id: ``organisation/name``.
        revision: Branch, tag or commit; None is the default branch.
        pickles: Also fetch ``pytorch_model*.bin``.

    Raises:
        HubUnavailable: If it is neither cached nor reachable, or there is no such model.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import, and only needed here
    from huggingface_hub.errors import HTTPError  # noqa: PLC0415  # pyright: ignore[reportPrivateImportUsage]

    wanted: list[str] = [*WANTED, "pytorch_model*.bin"] if pickles else [*WANTED]
    complete = (WEIGHTS, INDEX, PICKLED_WEIGHTS, PICKLED_INDEX) if pickles else (WEIGHTS, INDEX)

    def fetch(*, local: bool) -> Path:
        folder = snapshot_download(
            hub_id,
            revision=revision,
            cache_dir=_cache(),
            allow_patterns=wanted,
            ignore_patterns=list(UNWANTED),
            local_files_only=local,
        )
        return Path(folder)

    try:
        folder = fetch(local=True)
        if _offline() or any((folder / name).exists() for name in complete):
            return folder
    except FileNotFoundError as error:
        if _offline():
            raise HubUnavailable(
                f"{hub_id} is not in the local cache and the network is switched off (HF_HUB_OFFLINE)", hint=LOCAL_HINT
            ) from error
    except ValueError as error:
        raise HubUnavailable(f"{hub_id!r} is no path here and no valid hub id", hint=LOCAL_HINT) from error
    try:
        return fetch(local=False)
    except (OSError, HTTPError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise HubUnavailable(
            f"{hub_id} is not in the local cache and the hub did not give it: {reason}", hint=LOCAL_HINT
        ) from error


def _cache() -> str | None:
    if folder := os.environ.get("HF_HUB_CACHE"):
        return os.path.expandvars(folder)
    if home := os.environ.get("HF_HOME"):
        return str(Path(os.path.expandvars(home)) / "hub")
    return None


def _offline() -> bool:
    return any(
        os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )
