"""What tensor names mean: base-model prefixes, legacy spellings, heads, buffers, embeddings.

A classifier saves ``bert.encoder…``, the bare model it came from ``encoder…``; both mean the same tensor. Everything
that compares two checkpoints goes through ``canonical``.
"""

import re
from typing import Final

from purify_cli.tensors import TensorSpec

__all__ = [
    "canonical",
    "has_rows",
    "is_adapter",
    "is_buffer",
    "is_head",
    "is_known_buffer",
    "is_pooler",
    "is_word_embedding",
    "tie_group",
]

ADAPTER: Final = re.compile(
    r"(^|\.)(lora_(A|B|E|embedding_[AB]|magnitude_vector)|ia3_l|hada_(w|t)[12](_[ab])?|lokr_[wt][12](_[ab])?|b?oft_[rsRS]"
    r"|vera_lambda_[bd]|randlora_[AB]|hra_u|fourierft_spectrum|trainable_tokens_delta|adaption_(prompt|gate)"
    r"|prompt_embeddings|base_layer|adapters|prefix_tunings?)(\.|$)"
)
"""Parts of names that peft and AdapterHub give to tensors that are added to a model's own, or are put around them."""

PREFIXES: Final = frozenset(
    """
    albert bert biogpt camembert canine convbert data2vec_text deberta distilbert electra ernie esm esmc fnet funnel
    gpt_neox gpt_neox_japanese gte ibert layoutlm layoutlmv2 layoutlmv3 lilt longformer luke markuplm mobilebert
    model module mpnet mra nezha nomic_bert nystromformer perceiver prophetnet reformer rembert roberta
    roberta_prelayernorm roc_bert roformer rwkv squeezebert tapas transformer xlm_roberta xlnet yoso
    """.split()  # noqa: SIM905 - a block of words is read at a glance
)
"""First components that only say where the base model sits (``base_model_prefix`` of the transformers classes, and
``module`` of wrapped models)."""

HEADS: Final = frozenset(
    """
    classification_head classifier cls discriminator_predictions embed_out entity_predictions final_logits_bias
    generator_lm_head generator_predictions head lm_head lm_loss lm_predictions logits_proj mask_predictions
    multiple_choice_head pre_classifier pred_layer predictions qa_outputs score sequence_summary sop_classifier
    vocab_layer_norm vocab_projector vocab_transform
    """.split()  # noqa: SIM905 - a block of words is read at a glance
)
"""First components, after the prefix, of modules that sit on top of a base model in the transformers classes."""

DECODERS: Final = frozenset({"decoder.bias", "decoder.weight"})
"""The output layer of ModernBERT's masked language model. Only whole names: a base model may hold a ``decoder``."""

WORD_EMBEDDINGS: Final = (
    "word_embeddings.weight",
    "tok_embeddings.weight",
    "wte.weight",
    "embed_tokens.weight",
    "embed_in.weight",
    "shared.weight",
)
OUTPUT_EMBEDDINGS: Final = frozenset(
    """
    cls.predictions.decoder.weight decoder.weight embed_out.weight generator_lm_head.weight lm_head.decoder.weight
    lm_head.weight predictions.decoder.weight vocab_projector.weight
    """.split()  # noqa: SIM905 - a block of words is read at a glance
)
OUTPUT_BIASES: Final = (
    frozenset({"cls.predictions.bias", "cls.predictions.decoder.bias"}),
    frozenset({"decoder.bias"}),
    frozenset({"lm_head.bias", "lm_head.decoder.bias"}),
    frozenset({"predictions.bias", "predictions.decoder.bias"}),
)

BUFFERS: Final = frozenset(
    {"attention_mask", "inv_freq", "masked_bias", "num_batches_tracked", "position_ids", "token_type_ids"}
)
"""Last components of tensors that no training changes."""

CAUSAL_MASK_DIMENSIONS: Final = 4
"""GPT-2 stores its causal mask as ``attn.bias`` of shape (1, 1, positions, positions)."""


def canonical(name: str) -> str:
    """Return the name without base-model prefixes and with ``weight``/``bias`` for the legacy ``gamma``/``beta``.

    The output layer that GPT-NeoX stores as ``embed_out`` is ``lm_head`` in memory, and goes by that name.

    Prefixes are stripped as long as there are any: ``distilbert.transformer.layer…`` and ``transformer.layer…`` then
    meet, although only the first holds a prefix and the second begins with a word that is one elsewhere.
    """
    parts = name.split(".")
    prefixes = next((at for at, part in enumerate(parts[:-1]) if part not in PREFIXES), len(parts) - 1)
    parts = parts[prefixes:]
    if len(parts) > 1:
        parts[-1] = {"gamma": "weight", "beta": "bias"}.get(parts[-1], parts[-1])
        parts[0] = {"embed_out": "lm_head"}.get(parts[0], parts[0])
    return ".".join(parts)


def is_adapter(name: str) -> bool:
    """Tell whether a tensor belongs to an adapter: weights that are not merged into those of the model."""
    return bool(ADAPTER.search(name))


def is_head(name: str) -> bool:
    """Tell whether a tensor belongs to a task head: never scored unless the reference holds a same-shaped one."""
    short = canonical(name)
    return short in DECODERS or short.split(".")[0] in HEADS


def is_pooler(name: str) -> bool:
    """Tell whether a tensor belongs to the pooler, which some models add with the head."""
    return canonical(name).split(".")[0] == "pooler"


def is_buffer(spec: TensorSpec) -> bool:
    """Tell whether a tensor is a constant of the architecture rather than a weight."""
    return not spec.dtype.is_floating_point or is_known_buffer(spec)


def is_known_buffer(spec: TensorSpec) -> bool:
    """Tell whether a tensor is a constant that architectures are known to store in some versions and not in others."""
    if spec.name.rsplit(".", 1)[-1] in BUFFERS:
        return True
    return spec.name.endswith("attn.bias") and len(spec.shape) == CAUSAL_MASK_DIMENSIONS


def is_word_embedding(name: str) -> bool:
    """Tell whether a tensor holds one row per token of the vocabulary, on the input side."""
    return name.endswith(WORD_EMBEDDINGS)


def has_rows(spec: TensorSpec) -> bool:
    """Tell whether a tensor has one row per token or position, so that a prefix of its rows has a meaning."""
    short = canonical(spec.name)
    if any(short in biases for biases in OUTPUT_BIASES):
        return True
    table = (
        "embed" in short or short in OUTPUT_EMBEDDINGS or short.endswith(("wte.weight", "wpe.weight", "shared.weight"))
    )
    return table and len(spec.shape) == 2


def tie_group(name: str) -> str | None:
    """Return which group of possibly tied tensors a name is in: equal ones inside a group are one tensor.

    Only tensors that architectures tie are candidates: two layer norms that were never trained are equal too, and
    are two tensors all the same.
    """
    short = canonical(name)
    if is_word_embedding(name) or short in OUTPUT_EMBEDDINGS:
        return "word embeddings"
    return next((min(biases) for biases in OUTPUT_BIASES if short in biases), None)
