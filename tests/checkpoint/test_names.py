import pytest
import torch

from purify_cli.checkpoint import canonical, is_head
from purify_cli.checkpoint.names import has_rows, is_buffer, tie_group
from purify_cli.tensors import TensorSpec


@pytest.mark.parametrize(
    "names",
    [
        ("bert.encoder.layer.0.output.dense.weight", "encoder.layer.0.output.dense.weight"),
        ("bert.embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"),
        ("bert.embeddings.LayerNorm.beta", "embeddings.LayerNorm.bias"),
        ("transformer.h.0.attn.c_attn.weight", "h.0.attn.c_attn.weight"),
        ("distilbert.transformer.layer.0.ffn.lin1.weight", "transformer.layer.0.ffn.lin1.weight"),
        ("model.layers.0.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight"),
        ("module.roberta.encoder.layer.1.output.dense.bias", "encoder.layer.1.output.dense.bias"),
    ],
)
def test_names_of_one_tensor_meet(names: tuple[str, str]) -> None:
    assert canonical(names[0]) == canonical(names[1])


@pytest.mark.parametrize("name", ["bert", "weight", "gamma", "model", "bert.", "a.b", "", "..", "encoder.gamma.weight"])
def test_canonical_is_idempotent_and_total(name: str) -> None:
    assert canonical(canonical(name)) == canonical(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("classifier.weight", True),
        ("classifier.out_proj.bias", True),
        ("distilbert.pre_classifier.weight", True),
        ("score.weight", True),
        ("lm_head.weight", True),
        ("cls.predictions.bias", True),
        ("bert.pooler.dense.weight", False),
        ("encoder.layer.0.classifier.weight", False),
        ("embeddings.word_embeddings.weight", False),
    ],
)
def test_heads(name: str, expected: bool) -> None:
    assert is_head(name) is expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (TensorSpec("embeddings.position_ids", torch.int64, (1, 512)), True),
        (TensorSpec("h.0.attn.bias", torch.float32, (1, 1, 64, 64)), True),
        (TensorSpec("h.0.attn.c_attn.bias", torch.float32, (96,)), False),
        (TensorSpec("layers.0.self_attn.rotary_emb.inv_freq", torch.float32, (16,)), True),
        (TensorSpec("anything", torch.uint8, (3,)), True),
        (TensorSpec("encoder.weight", torch.bfloat16, (3,)), False),
    ],
)
def test_buffers(spec: TensorSpec, expected: bool) -> None:
    assert is_buffer(spec) is expected


def test_ties_are_between_embeddings_only() -> None:
    assert tie_group("lm_head.weight") == tie_group("transformer.wte.weight") is not None
    assert tie_group("cls.predictions.bias") == tie_group("cls.predictions.decoder.bias") is not None
    assert tie_group("encoder.layer.0.output.LayerNorm.weight") is None


def test_only_tables_have_rows() -> None:
    assert has_rows(TensorSpec("bert.embeddings.word_embeddings.weight", torch.float32, (3, 2)))
    assert has_rows(TensorSpec("cls.predictions.bias", torch.float32, (3,)))
    assert not has_rows(TensorSpec("embeddings.LayerNorm.weight", torch.float32, (3,)))
    assert not has_rows(TensorSpec("encoder.layer.0.output.dense.weight", torch.float32, (3, 2)))


def test_prefixes_are_taken_off_in_one_go() -> None:
    # One at a time, with a copy of the rest, would take minutes.
    assert canonical("bert." * 200_000 + "x.gamma") == "x.weight"
