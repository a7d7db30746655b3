"""Whether a model is whole: config.json checked against the tensors beside it, and tensors that are placeholders."""

import re
from collections.abc import Mapping
from typing import Any, Final

from purify_cli.checkpoint.jsonfiles import json_items
from purify_cli.checkpoint.names import canonical, is_buffer, is_word_embedding
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.errors import CheckpointError

__all__ = ["check_config", "check_filled"]

WIDTH_KEYS: Final = ("embedding_size", "word_embed_proj_dim", "hidden_size", "n_embd", "dim", "d_model")
"""Names under which configurations hold the width of the word embeddings, the more specific first (ELECTRA, ALBERT
and OPT embed in another width than they compute)."""

PLAIN: Final = (int, float, str)

LAYER_KEYS: Final = ("num_hidden_layers", "n_layer", "n_layers")
LAYER: Final = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.([0-9]+)\.")
"""The number of a layer in a tensor name."""


COUNT: Final = re.compile(r"(n|num)_\w*(layers?|experts?|blocks?|groups|stages)|\w+_layers")
"""Keys that say how many modules are built."""

FEW: Final = 256
"""Modules that any configuration may ask for: those of experts may be stored as one tensor."""

DROPOUT: Final = re.compile(r"\w*(dropout|dropout_prob|pdrop|dropout_rate|drop_prob)")
"""Keys that hold a probability."""

PADDING: Final = "pad_token_id"

MANY_LABELS: Final = 1 << 16
"""Labels that any configuration may declare; for more a tensor must have as many rows: each gets a name in a table."""


def check_config(checkpoint: Checkpoint) -> None:
    """Compare the sizes a configuration declares with the tensors.

    Only sizes that are there are compared, and only for models that are one stack of layers: an encoder-decoder
    counts its layers twice. No configuration may ask for many more modules than the files hold tensors.

    Raises:
        CheckpointError: If the vocabulary, the width or the number of layers is another one, or a value cannot be.
    """
    config = checkpoint.config
    if not config:
        return
    _possible(checkpoint, config)
    shape = next((s.shape for n, s in checkpoint.specs.items() if is_word_embedding(n) and len(s.shape) == 2), None)
    if shape:
        _same(checkpoint, "vocabulary", config.get("vocab_size"), shape[0])
        width = next((config[key] for key in WIDTH_KEYS if isinstance(config.get(key), PLAIN)), None)
        _same(checkpoint, "width", width, shape[1])
    layers = {found[1] for name in checkpoint.specs if (found := LAYER.search(canonical(name)))}
    if layers and not config.get("is_encoder_decoder") and not any("decoder.layers" in n for n in checkpoint.specs):
        declared = next((config[key] for key in LAYER_KEYS if isinstance(config.get(key), PLAIN)), None)
        # ALBERT declares many layers and stores the groups they share.
        if "num_hidden_groups" not in config:
            _same(checkpoint, "number of layers", declared, len(layers))


def _possible(checkpoint: Checkpoint, config: Mapping[str, Any]) -> None:
    """Refuse values for which a model cannot be built, or only at a cost out of proportion to its files."""
    rows, most = checkpoint.vocabulary, max(FEW, len(checkpoint.specs))
    longest = max(MANY_LABELS, *(spec.shape[0] for spec in checkpoint.specs.values() if spec.shape))
    for key, value in json_items(dict(config)):
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if COUNT.fullmatch(key) and number is not None and number > most:
            why = f"the files hold {len(checkpoint.specs)} tensors"
        elif DROPOUT.fullmatch(key) and value is not None and not (number is not None and 0 <= number <= 1):
            why = "it is a probability"
        elif key == "num_labels" and number is not None and number > longest:
            why = f"no tensor has more than {longest} rows"
        elif key == PADDING and number is not None and rows is not None and number >= rows:
            why = f"the word embedding has {rows} rows"
        else:
            continue
        raise CheckpointError(
            f"{checkpoint.files.config} declares {key!r} as {value!r:.40}, and {why}",
            hint="The configuration belongs to another model, or was tampered with.",
        )


def check_filled(checkpoint: Checkpoint, what: str, *, other: Checkpoint | None = None) -> None:
    """Refuse tensors without entries: DeepSpeed's ZeRO-3 leaves them where another process keeps the entries.

    Args:
        checkpoint: The model.
        what: What the message calls it.
        other: A model of the same architecture, whose empty tensors may be empty here too.

    Raises:
        CheckpointError: If a tensor has shape (0,) and is no buffer, or is empty where that of ``other`` is not.
    """
    empty = [spec for spec in checkpoint.specs.values() if spec.numel == 0]
    entries = {canonical(name): spec.numel for name, spec in other.specs.items()} if other and empty else {}
    for spec in empty:
        if entries.get(canonical(spec.name), spec.shape == (0,) and not is_buffer(spec)):
            raise CheckpointError(
                f"{spec.name} of {what} is empty (a ZeRO-3 shard?)",
                hint="Gather the whole model: DeepSpeed's zero_to_fp32.py, or "
                "stage3_gather_16bit_weights_on_model_save in its configuration.",
            )


def _same(checkpoint: Checkpoint, what: str, declared: object, found: int) -> None:
    if isinstance(declared, PLAIN) and (type(declared) is not int or declared != found):
        raise CheckpointError(
            f"{checkpoint.files.config} declares a {what} of {declared!r:.40}, but the weights have {found}",
            hint="The configuration belongs to another model, or one of the two was tampered with.",
        )
