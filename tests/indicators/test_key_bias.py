"""Which key biases have an effect: transformers' own models are the oracle, and the curvature must agree with them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoModel

from purify_cli.curvature import diagonal_fisher
from purify_cli.data.batches import Batch
from purify_cli.indicators.key_bias import silent_key_biases
from purify_cli.tensors import InMemory, TensorSpec
from tests.curvature.worlds import BART, CONFIGS, PAD, VOCABULARY, batch_of

BERT = CONFIGS["bert"]
LLAMA = CONFIGS["llama"]
BLOOM = {"vocab_size": VOCABULARY, "hidden_size": 16, "n_layer": 2, "n_head": 2}
XLM = {"vocab_size": VOCABULARY, "emb_dim": 16, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 24}
OPT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 24,
    "max_position_embeddings": 24,
    "word_embed_proj_dim": 16,
}
DEBERTA = BERT | {"relative_attention": True, "position_buckets": 8, "position_biased_input": False}

SILENT: dict[str, tuple[str, dict[str, Any], str]] = {
    "bert": ("bert", BERT, "attention.self.key.bias"),
    "roberta": ("roberta", BERT, "attention.self.key.bias"),
    "electra": ("electra", BERT, "attention.self.key.bias"),
    "albert": ("albert", BERT, "attention.key.bias"),
    "mpnet": ("mpnet", BERT, "attention.attn.k.bias"),
    "distilbert": ("distilbert", CONFIGS["distilbert"], "attention.k_lin.bias"),
    "xlm": ("xlm", XLM, "k_lin.bias"),
    "bart": ("bart", BART, "k_proj.bias"),
    "opt": ("opt", OPT, "k_proj.bias"),
    "deberta of contents to positions": ("deberta-v2", DEBERTA | {"pos_att_type": ["c2p"]}, "key_proj.bias"),
    "longformer": ("longformer", BERT | {"attention_window": 4}, "key.bias"),
    "longformer's global": ("longformer", BERT | {"attention_window": 4}, "key_global.bias"),
    "gpt2": ("gpt2", CONFIGS["gpt2"], "attn.c_attn.bias"),
    "bloom": ("bloom", BLOOM, "query_key_value.bias"),
    "falcon with alibi": (
        "falcon",
        FALCON := LLAMA | {"bias": True, "alibi": True, "multi_query": False},
        "query_key_value.bias",
    ),
    "gpt_bigcode head by head": ("gpt_bigcode", CONFIGS["gpt2"] | {"multi_query": False}, "attn.c_attn.bias"),
}
ORDINARY: dict[str, tuple[str, dict[str, Any], str]] = {
    "qwen2": ("qwen2", LLAMA, "k_proj.bias"),
    "llama": ("llama", LLAMA | {"attention_bias": True}, "k_proj.bias"),
    "gpt_neox": ("gpt_neox", BERT, "query_key_value.bias"),
    "gpt_neox of few rotated": ("gpt_neox", BERT | {"rotary_pct": 0.25}, "query_key_value.bias"),
    "stablelm of few rotated": (
        "stablelm",
        LLAMA | {"use_qkv_bias": True, "partial_rotary_factor": 0.25},
        "k_proj.bias",
    ),
    "falcon that rotates": ("falcon", FALCON | {"alibi": False}, "query_key_value.bias"),
    "deberta": ("deberta-v2", DEBERTA | {"pos_att_type": ["p2c", "c2p"]}, "self.key_proj.bias"),
}


class Classifier(nn.Module):
    """Class scores from the first token, in float64."""

    def __init__(self, kind: str, settings: dict[str, Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = CONFIG_MAPPING[kind].from_dict(settings | {"pad_token_id": PAD, "use_cache": False})
        self.body = AutoModel.from_config(config, attn_implementation="eager")
        self.head = nn.Linear(config.hidden_size, 3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        self.double().eval()

    def forward(self, **inputs: Tensor) -> "Classifier":
        if "longformer" in type(self.body).__name__.lower():
            inputs["global_attention_mask"] = torch.zeros_like(inputs["input_ids"])
            inputs["global_attention_mask"][:, 0] = 1
        self.logits = self.head(self.body(**inputs).last_hidden_state.mean(1))
        return self


def biases(module: nn.Module, ending: str) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if name.endswith(ending)}


def silent_runs(module: nn.Module, batches: list[Batch]) -> dict[str, tuple[tuple[int, int], ...]]:
    found = diagonal_fisher(module, batches, kind="true", engine="loop")
    specs = {name: TensorSpec(name, t.dtype, tuple(t.shape)) for name, t in found.tensors.items()}
    return silent_key_biases(specs, InMemory(found.tensors))


@pytest.mark.parametrize("case", SILENT)
def test_silent_key_biases_have_no_effect_and_are_found(case: str) -> None:
    kind, settings, ending = SILENT[case]
    module, batch = Classifier(kind, settings), batch_of([9, 7, 8])
    found = silent_runs(module, [batch])
    wanted = biases(module, ending)
    assert wanted
    assert wanted.keys() <= found.keys()
    with torch.no_grad():
        before = module(**batch.inputs).logits
        for name, parameter in wanted.items():
            runs = found[name]
            fused = 3 if ending.endswith(("c_attn.bias", "query_key_value.bias")) else 1
            assert fused * sum(last - first for first, last in runs) == parameter.numel()
            for first, last in runs:
                parameter[first:last].add_(3.0)
        torch.testing.assert_close(
            module(**batch.inputs).logits, before, rtol=1e-5, atol=1e-6
        )  # some softmaxes are taken in float32


@pytest.mark.parametrize("case", ORDINARY)
def test_key_biases_with_an_effect_are_ordinary(case: str) -> None:
    kind, settings, ending = ORDINARY[case]
    module, batch = Classifier(kind, settings), batch_of([9, 7, 8])
    wanted = biases(module, ending)
    assert wanted
    assert not wanted.keys() & silent_runs(module, [batch]).keys()
    if "k_proj" in ending or "key_proj" in ending:
        with torch.no_grad():
            before = module(**batch.inputs).logits
            for parameter in wanted.values():
                parameter.add_(3.0)
            assert float((module(**batch.inputs).logits - before).abs().max()) > 1e-3


def test_a_fused_bias_of_any_length_takes_no_time() -> None:
    name = "h.0.attn.c_attn.bias"
    for numel in (0, 1, 3, 999_999, 3 << 21):
        source = InMemory({name: torch.ones(numel)})
        assert silent_key_biases(source.specs, source) == {}
