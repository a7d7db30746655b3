"""Causal language models in memory: like ``loading``, with the reference's output layer in place of a new head."""

from collections.abc import Mapping
from typing import Any, Final, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from purify_cli.checkpoint.names import tie_group
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.unique import equal_tensors, unique_names
from purify_cli.data.batches import Batch
from purify_cli.errors import CheckpointError
from purify_cli.model.configs import NOT_ARCHITECTURE, has_head, model_classes
from purify_cli.model.loaded import LoadedModel, longest_of
from purify_cli.model.loading import fill_module, instantiate, match_weights, require_loadable, require_weights
from purify_cli.tensors import TensorSource

__all__ = [
    "causal_config",
    "causal_length",
    "continue_greedily",
    "counted_tokens",
    "is_causal",
    "load_causal",
    "token_losses",
    "token_scores",
]

_OUTPUT_LAYERS: Final = ("lm_head.weight",)
"""Canonical names of the output layer of a decoder. Encoders with a head for masked words call theirs otherwise."""


def is_causal(checkpoint: Checkpoint, config: Mapping[str, Any] | None = None) -> bool:
    """Tell whether a checkpoint is a causal language model rather than a classifier or a bare encoder.

    It is one if it has no classification head, its type has a causal class in transformers, and either the file holds
    an output layer or the configuration names the causal class (of tied models the file holds the embedding alone).

    Args:
        checkpoint: Weights, and perhaps a configuration beside them.
        config: The reference's, for weights that come without one.

    Raises:
        CheckpointError: If a tensor is stored twice with different contents.
    """
    known = checkpoint.config or config or {}
    found = _classes(known)
    if found is None or has_head(checkpoint):
        return False
    named = known.get("architectures")
    own = unique_names(checkpoint).chosen
    return (isinstance(named, list) and found[1].__name__ in named) or any(layer in own for layer in _OUTPUT_LAYERS)


def _classes(config: Mapping[str, Any]) -> tuple[type[PreTrainedConfig], type[PreTrainedModel]] | None:
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING or config.get("is_encoder_decoder"):
        return None
    return model_classes(model_type, MODEL_FOR_CAUSAL_LM_MAPPING)


def _known_classes(config: Mapping[str, Any]) -> tuple[type[PreTrainedConfig], type[PreTrainedModel]]:
    """Return the configuration and model classes of a config's model type.

    Raises:
        CheckpointError: If there is no causal language model of this type.
    """
    found = _classes(config)
    if found is None:
        raise CheckpointError(
            f"there is no causal language model of type {config.get('model_type')!r} in transformers",
            hint="Decoders such as gpt2 or llama are language models; for others measure a classifier.",
        )
    return found


def causal_config(config: Mapping[str, Any], *, rows: int | None = None, tied: bool | None = None) -> dict[str, Any]:
    """Make the config.json of a language model out of the reference's.

    Args:
        config: The reference's config.json.
        rows: Rows of the word embedding, where the vocabulary was resized.
        tied: Whether the output layer shares the word embedding; default: as the reference's.

    Raises:
        CheckpointError: If there is no causal language model of this type.
    """
    _, kind = _known_classes(config)
    made = {key: value for key, value in config.items() if key not in NOT_ARCHITECTURE}
    made |= {"architectures": [kind.__name__], "model_type": config["model_type"]}
    if rows is not None:
        made["vocab_size"] = rows
    if tied is not None:
        made["tie_word_embeddings"] = tied
    return made


def _build(config: Mapping[str, Any], device: str) -> PreTrainedModel:
    return instantiate(config, *_known_classes(config), AutoModelForCausalLM.from_config, device)


def causal_length(config: Mapping[str, Any]) -> int | None:
    """Return ``longest_of`` a language model of this configuration.

    Raises:
        CheckpointError: If there is none of this type.
    """
    return longest_of(_build(causal_config(config), "meta"))


def load_causal(weights: TensorSource, *, config: Mapping[str, Any], device: torch.device | str = "cpu") -> LoadedModel:
    """Build a language model from a reference's configuration and fill it with weights.

    A model whose configuration ties the output layer to the embedding is built untied where the weights hold two
    different tensors: that is what whoever loads the file gets, and the one that matters must not go unseen.

    Args:
        weights: All tensors, under any known naming; what the module lacks is ignored.
        config: The reference's config.json.
        device: Where the module goes.

    Raises:
        CheckpointError: If weights are missing, have other shapes or are stored twice with different contents, or no
            such model exists.
    """
    made = causal_config(config)
    shell = _build(made, "meta")
    own = unique_names(weights).chosen
    embedding = shell.get_input_embeddings().get_parameter("weight")
    group = [own[short] for short in sorted(own) if tie_group(short) == "word embeddings"]
    differ = len(group) > 1 and not all(equal_tensors(weights, group[0], name) for name in group[1:])
    tied = _is_tied(shell)
    rows = weights.specs[group[0]].shape[0] if group and weights.specs[group[0]].shape else embedding.shape[0]
    if rows != embedding.shape[0] or (tied and differ):
        made = causal_config(config, rows=rows, tied=False if tied and differ else None)
        shell = _build(made, "meta")
    names = match_weights(shell, weights)
    missing = [name for name, _ in shell.named_parameters() if name not in names]
    lone: list[str] = []
    if _is_tied(shell) and group:
        # A tied pair may be stored under the other of its two names only.
        words = shell.get_input_embeddings().get_parameter("weight")
        shape = tuple(weights.specs[group[0]].shape)
        lone = [name for name in missing if shell.get_parameter(name) is words and tuple(words.shape) == shape]
        names |= dict.fromkeys(lone, group[0])
        missing = [name for name in missing if name not in lone]
    require_weights(missing)
    require_loadable(shell, weights, {name: stored for name, stored in names.items() if name not in lone})
    return LoadedModel(fill_module(_build(made, "cpu"), weights, names, device), made, names)


def _is_tied(module: PreTrainedModel) -> bool:
    output = module.get_output_embeddings()
    return output is not None and output.weight is module.get_input_embeddings().get_parameter("weight")


def token_scores(module: nn.Module, batch: Batch) -> Tensor:
    """Return the scores of the next token at every place of a batch that is padded on the right, shape (B, T, V)."""
    return module(
        input_ids=batch.inputs["input_ids"], attention_mask=batch.inputs["attention_mask"], use_cache=False
    ).logits


def counted_tokens(batch: Batch) -> Bool[Tensor, "rows places"]:
    """Say which tokens but the first are learnt or measured: neither padding nor before the start of their row."""
    counts = batch.inputs["attention_mask"][:, 1:].bool()
    if batch.starts is None:
        return counts
    return counts & (torch.arange(1, counts.shape[1] + 1, device=counts.device) >= batch.starts[:, None])


def token_losses(
    module: nn.Module, batch: Batch, *, dtype: torch.dtype = torch.float32
) -> tuple[Float[Tensor, "rows places"], Bool[Tensor, "rows places"]]:
    """Return the negative log-likelihood of every token but the first, in nats, and which of them count.

    Args:
        module: A language model, on the batch's device.
        batch: Rows padded on the right.
        dtype: ``torch.bfloat16`` runs the forward pass under autocast; the likelihood itself is always float32.

    Returns:
        (losses, counts); a place that does not count (``counted_tokens``) has loss 0.
    """
    ids = batch.inputs["input_ids"]
    with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        scores = token_scores(module, batch)
    counts = counted_tokens(batch)
    # cross_entropy wants the classes second; -100 is what it skips.
    wanted = ids[:, 1:].masked_fill(~counts, -100)
    return cross_entropy(scores[:, :-1].float().transpose(1, 2), wanted, reduction="none"), counts


def continue_greedily(
    module: PreTrainedModel, ids: Tensor, attention: Tensor, *, new_tokens: int, pad_id: int, end_ids: list[int]
) -> Tensor:
    """Write on from prompts that are padded on the left, always taking the likeliest token.

    Args:
        module: In evaluation mode.
        ids: (B, T) int64 token ids.
        attention: (B, T) int64; 0 where ``ids`` is padding.
        new_tokens: Most tokens to write.
        pad_id: Fills rows that have ended.
        end_ids: Tokens that end a row; empty: every row runs to ``new_tokens``.

    Returns:
        (B, at most ``new_tokens``) int64: the new tokens only.
    """
    # Nothing but this decides how it is done: a generation_config made from a config.json could ask for sampling.
    module.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=new_tokens,
        pad_token_id=pad_id,
        eos_token_id=end_ids or None,
        use_cache=True,
    )
    written = cast("Any", module).generate(input_ids=ids, attention_mask=attention)
    return written[:, ids.shape[1] :]
