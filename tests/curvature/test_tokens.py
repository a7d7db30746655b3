"""The curvature of language models: the hooks against single texts, every token enumerated for the true Fisher."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from purify_cli.curvature import mean_squared_gradients
from purify_cli.curvature.tokens import own_tokens, sequence_loss
from purify_cli.data.batches import Batch
from tests.curvature.worlds import assert_close
from tests.reference import curvature as oracle

VOCABULARY = 23
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {"num_key_value_heads": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**SHAPE, **GROUPED},
    "llama, tied": {**SHAPE, **GROUPED, "tie_word_embeddings": True},
    "mistral": {**SHAPE, **GROUPED, "sliding_window": 4},
    "qwen2": {**SHAPE, **GROUPED, "tie_word_embeddings": True},
    "qwen3": {**SHAPE, **GROUPED, "head_dim": 4},
    "gemma": {**SHAPE, **GROUPED, "head_dim": 4, "tie_word_embeddings": True},
    "phi": {**SHAPE, **GROUPED},
    "gpt_neox": SHAPE,
    "gpt2": {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32},
}


def language_model(name: str) -> nn.Module:
    """A fresh model in evaluation mode, whose norms and biases are not at their uninformative start."""
    torch.manual_seed(1)
    kind = name.partition(",")[0]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **CONFIGS[name], use_cache=False)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def batch_of(lengths: Iterable[int], starts: Iterable[int], *, seed: int = 0) -> Batch:
    generator, sizes = torch.Generator().manual_seed(seed), list(lengths)
    ids = torch.zeros(len(sizes), max(sizes), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, size in enumerate(sizes):
        # Few different tokens, so that the same one occurs several times in a text.
        ids[row, :size] = torch.randint(3, 9, (size,), generator=generator)
        mask[row, :size] = 1
    return Batch({"input_ids": ids, "attention_mask": mask}, None, torch.arange(len(sizes)), torch.tensor([*starts]))


BATCHES = [batch_of([9, 7, 8], [1, 3, 5]), batch_of([5, 6], [1, 1], seed=1), batch_of([4], [3], seed=2)]


def plain_loss(module: nn.Module, one: Batch) -> Tensor:
    """Minus log p of the tokens that count, from the definition; the padding is cut off."""
    one = oracle.unpadded(one)
    ids = one.inputs["input_ids"]
    logp = module(**one.inputs).logits.log_softmax(-1)[0]
    assert one.starts is not None
    return -sum((logp[place - 1, ids[0, place]] for place in range(int(one.starts), ids.shape[1])), torch.zeros(()))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_empirical_fisher_is_that_of_single_texts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "purify_cli.curvature.fisher.add_one_by_one", lambda *_, **__: pytest.fail("fell back to the one-sample loop")
    )
    model = language_model(name)
    expected, effective = oracle.mean_squares(model, BATCHES, plain_loss)
    found = mean_squared_gradients(model, BATCHES, sequence_loss, estimator="empirical")
    assert_close(dict(found.tensors), expected)
    assert found.effective_samples == pytest.approx(effective, rel=1e-3)
    assert found.samples == 6


def exact_true(module: nn.Module, one: Batch) -> dict[str, Tensor]:
    """Σ over places of Σ_v p(v)·(∂ log p(v))², token by token."""
    logp = module(**one.inputs).logits.log_softmax(-1)[0]
    total: dict[str, Tensor] = {}
    for place in range(int(one.starts[0]), one.inputs["input_ids"].shape[1]):
        for entry in logp[place - 1]:
            for name, gradient in oracle.gradients(module, entry).items():
                total[name] = total.get(name, torch.zeros_like(gradient)) + entry.detach().exp() * gradient.square()
    return total


def test_drawn_tokens_give_the_true_fisher_in_the_mean() -> None:
    model, one = language_model("llama"), batch_of([6], [2])
    expected = exact_true(model, one)
    copies = 4000
    many = Batch(
        {name: tensor.repeat(copies, 1) for name, tensor in one.inputs.items()},
        None,
        torch.arange(copies),
        one.starts.repeat(copies),
    )
    found = mean_squared_gradients(model, [many], own_tokens, estimator="true").tensors
    for name, tensor in expected.items():
        assert float(found[name].sum()) == pytest.approx(float(tensor.sum()), rel=0.1), name


def test_a_draw_depends_neither_on_the_batch_nor_on_padding() -> None:
    model, whole = language_model("gpt2"), BATCHES[0]
    together = own_tokens(model, whole)
    for place in range(3):
        alone = own_tokens(model, oracle.unpadded(whole.take(slice(place, place + 1))))
        assert torch.allclose(alone[0], together[place], atol=1e-4)
