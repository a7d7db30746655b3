"""Tiny models of every supported architecture, and batches with repeated words and padding."""

from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForSequenceClassification

from purify_cli.data.batches import Batch

VOCABULARY: Final = 40
PAD: Final = 1

_BERT: Final = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
}
_LLAMA: Final = _BERT | {"num_key_value_heads": 1, "bos_token_id": 2, "eos_token_id": 3}
BART: Final[dict[str, Any]] = {
    "vocab_size": VOCABULARY,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "max_position_embeddings": 24,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
CONFIGS: Final[dict[str, dict[str, Any]]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "distilbert": {
        "vocab_size": VOCABULARY,
        "dim": 16,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 24,
        "max_position_embeddings": 24,
    },
    "electra": _BERT | {"embedding_size": 8},
    "gpt2": {
        "vocab_size": VOCABULARY,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 24,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
    "llama": _LLAMA,
    "albert": _BERT | {"embedding_size": 8},
    "qwen2": _LLAMA,
}


def model_of(kind: str, *, classes: int = 3, language: bool = False, seed: int = 0) -> nn.Module:
    """Make a model with large random weights everywhere, so that no path through it is nearly linear or zero."""
    settings = CONFIGS[kind] | {"pad_token_id": PAD, "num_labels": classes, "use_cache": False}
    config = CONFIG_MAPPING[kind].from_dict(settings | {"tie_word_embeddings": language})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = (AutoModelForCausalLM if language else AutoModelForSequenceClassification).from_config(config).eval()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def batch_of(lengths: list[int], *, classes: int = 3, seed: int = 0) -> Batch:
    """Make a batch padded to its longest row; most rows repeat words, and two thirds of the vocabulary never occur."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    ids = torch.full((len(lengths), longest), PAD)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(2, VOCABULARY // 3, (length,), generator=generator)
        mask[row, :length] = 1
    labels = torch.randint(0, classes, (len(lengths),), generator=generator)
    return Batch({"input_ids": ids, "attention_mask": mask}, labels, torch.arange(len(lengths)))


def batches_of(*groups: list[int], classes: int = 3) -> list[Batch]:
    return [batch_of(group, classes=classes, seed=seed) for seed, group in enumerate(groups)]


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    """Compare by tensor: the norm of the difference, and its largest entry, relative to the expected tensor's.

    A tensor whose gradient is analytically zero (key biases) holds rounding noise, which no two ways share; it counts
    as zero when it is 1e-8 of the largest entry anywhere, about the square of float32's rounding.
    """
    assert set(found) == set(expected)
    noise = 1e-8 * max(float(t.abs().max()) for t in expected.values())
    for name, want in expected.items():
        difference = found[name] - want
        assert difference.shape == want.shape
        assert float(difference.abs().max()) <= tolerance * max(float(want.abs().max()), noise), name
        assert float(difference.norm()) <= tolerance * max(float(want.norm()), noise), name
