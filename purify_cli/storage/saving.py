"""Writing a model into a folder that loads with transformers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from purify_cli.checkpoint import Checkpoint, open_checkpoint, write_model
from purify_cli.checkpoint.places import storage_errors
from purify_cli.checkpoint.unique import copies_of
from purify_cli.model import LoadedModel, load_tokenizer, tokenizer_pad
from purify_cli.model.suspect_tokenizer import SuspectTokenizer
from purify_cli.reset import Overlay
from purify_cli.storage.ownership import MODEL_METADATA
from purify_cli.tensors import TensorSource

__all__ = ["overlaid", "save_model"]


def overlaid(start: Checkpoint, loaded: LoadedModel) -> Overlay:
    """Return all tensors of the checkpoint that a model was loaded from, with the model's present weights.

    A tensor that is stored under several names changes under all of them: a loader takes any one.
    """
    tensors = dict(loaded.weights.tensors)
    first = copies_of(start)
    known = {first.get(name, name): tensor for name, tensor in tensors.items()}
    copies = {name: known[first[name]] for name in first if first[name] in known}
    return Overlay(start, copies | tensors)


def save_model(
    folder: Path,
    loaded: LoadedModel,
    *,
    like: Checkpoint,
    base: Checkpoint,
    weights: TensorSource | None = None,
    reading: SuspectTokenizer | None = None,
) -> str:
    """Write a model into a staged folder and return the SHA-256 of its weights.

    Args:
        folder: Exists and is empty.
        loaded: Its weights are written unless ``weights`` is given.
        like: Checkpoint whose files, order and metadata are kept.
        base: Brings the tokenizer.
        weights: Weights to write in place of the module's.
        reading: How the model reads texts, where that is with tokens besides those of ``base``.
    """
    own_tokenizer = reading is not None and bool(reading.kept)
    write_model(
        folder,
        weights or loaded.weights,
        like=like,
        config={**loaded.config, **_padding(loaded, base)},
        tokenizer=replace(base.files, tokenizer=None) if own_tokenizer else base.files,
        metadata=MODEL_METADATA,
    )
    if reading is not None and own_tokenizer:
        with storage_errors(folder / "tokenizer.json"):
            reading.tokenizer.save_pretrained(folder)
    return open_checkpoint(str(folder)).sha256()


def _padding(loaded: LoadedModel, base: Checkpoint) -> dict[str, Any]:
    """Name the padding that a decoder classifier must know: whoever loads the folder pads with its tokenizer."""
    if base.files.tokenizer is None or not hasattr(loaded.module, "score"):
        return {}
    padding = tokenizer_pad(load_tokenizer(base.files))
    return {} if padding is None or padding >= loaded.vocabulary else {"pad_token_id": padding}
