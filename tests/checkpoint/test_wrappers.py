from pathlib import Path

import pytest
import torch

from purify_cli.checkpoint import open_checkpoint
from purify_cli.checkpoint.wrappers import unwrapped
from purify_cli.errors import CheckpointError
from purify_cli.tensors import read_tensor
from tests.checkpoint.shapes import CONFIG, bert, classifier, folder

BERT = tuple(bert(layers=1))
CLASSIFIER = tuple(classifier(layers=1))
LLAMA = ("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.norm.weight")
GPT2 = ("transformer.wte.weight", "transformer.wpe.weight", "transformer.h.0.attn.c_attn.weight")
OPT = ("model.decoder.embed_tokens.weight", "model.decoder.layers.0.fc1.weight")
T5 = ("shared.weight", "encoder.embed_tokens.weight", "encoder.block.0.layer.0.SelfAttention.q.weight")

PLAIN = {
    "bert": CLASSIFIER,
    "a bare bert": BERT,
    "modernbert": ("model.embeddings.tok_embeddings.weight", "model.final_norm.weight", "head.dense.weight"),
    "a bare distilbert": ("embeddings.word_embeddings.weight", "transformer.layer.0.attention.q_lin.weight"),
    "llama": (*LLAMA, "score.weight"),
    "a tied llama": LLAMA,
    "a bare llama": ("embed_tokens.weight", "layers.0.self_attn.q_proj.weight", "norm.weight"),
    "a tied gpt2": GPT2,
    "a bare gpt2": ("wte.weight", "wpe.weight", "h.0.attn.c_attn.weight", "ln_f.bias"),
    "opt": (*OPT, "score.weight"),
    "a bare opt": ("decoder.embed_tokens.weight", "decoder.layers.0.fc1.weight"),
    "t5": T5,
    "an encoder of t5": T5[1:],
    "a classifier of t5": (*(f"transformer.{name}" for name in T5), "classification_head.dense.weight"),
    "bart": ("model.shared.weight", "model.encoder.layers.0.fc1.weight", "classification_head.dense.weight"),
    "bloom": ("word_embeddings.weight", "h.0.mlp.dense_h_to_4h.weight"),
    "nothing known": ("a.b.weight", "a.c.weight"),
    "no names to speak of": ("", ".", "weight"),
}
"""Names as transformers saves them, which must stay."""


@pytest.mark.parametrize("case", PLAIN)
def test_what_transformers_saves_stays_as_it_is(case: str) -> None:
    assert unwrapped(PLAIN[case]) == {name: name for name in PLAIN[case]}


@pytest.mark.parametrize("case", ["bert", "llama", "a tied llama", "a tied gpt2", "opt", "bart", "a classifier of t5"])
@pytest.mark.parametrize(
    "wrapper",
    ["module", "model", "_orig_mod", "_orig_mod.module", "model.module", "_forward_module.model", "net", "x.y"],
)
def test_wrappers_are_taken_off(wrapper: str, case: str) -> None:
    assert unwrapped(f"{wrapper}.{name}" for name in PLAIN[case]) == {name: f"{wrapper}.{name}" for name in PLAIN[case]}


def test_wrappers_inside_a_model_are_taken_off() -> None:
    stored = "_fsdp_wrapped_module.bert.encoder.layer.0._checkpoint_wrapped_module.output.dense.bias"
    assert unwrapped([stored]) == {"bert.encoder.layer.0.output.dense.bias": stored}


@pytest.mark.parametrize("body", [BERT, CLASSIFIER[:-2]])
def test_a_body_in_an_attribute_beside_the_head_is_taken_out(body: tuple[str, ...]) -> None:
    names = [*(f"encoder.{name}" for name in body), "classifier.weight"]
    assert list(unwrapped(names)) == [*body, "classifier.weight"]


def test_what_a_trainer_keeps_beside_the_model_is_left_alone() -> None:
    names = [*(f"model.{name}" for name in CLASSIFIER), "criterion.weight"]
    assert list(unwrapped(names)) == [*CLASSIFIER, "criterion.weight"]


def test_two_models_side_by_side_are_not_told_apart() -> None:
    names = [f"{copy}.{name}" for copy in ("model", "ema") for name in CLASSIFIER]
    assert list(unwrapped(names)) == names


def test_tensors_are_read_without_their_wrapper(tmp_path: Path) -> None:
    tensors = classifier()
    stored = {f"module.{name}": tensor for name, tensor in tensors.items()}
    for shards in (1, 3):
        opened = open_checkpoint(str(folder(tmp_path / str(shards), stored, config=CONFIG, shards=shards)))
        assert list(opened.specs) == list(opened.stored_names) == sorted(tensors)
        assert all(spec.name == name for name, spec in opened.specs.items())
        assert all(torch.equal(read_tensor(opened, name), tensor) for name, tensor in tensors.items())


def test_two_names_of_one_tensor_are_refused(tmp_path: Path) -> None:
    name = "bert.encoder.layer.0.intermediate.dense.bias"
    tensors = classifier() | {name.replace("0", "0._orig_mod"): torch.zeros(16)}
    with pytest.raises(CheckpointError, match="stores one tensor twice"):
        open_checkpoint(str(folder(tmp_path, tensors, config=CONFIG)))
