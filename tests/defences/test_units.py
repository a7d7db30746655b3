"""Units by names and shapes, on tiny classifiers of several architectures with random weights."""

import pytest
import torch
from torch import nn

from purify_cli.data.batches import Encoded, batches
from purify_cli.defences.fine_pruning import mean_activations
from purify_cli.defences.units import find_units
from purify_cli.errors import CheckpointError, DataError
from tests.curvature.worlds import CONFIGS, PAD, batch_of, model_of
from tests.devices import OnDevice

LAYERS = 2
WIDTH = 24
"""Feed-forward width of the tiny models; GPT-2's is four times 16, Llama's is given."""
POOLER = {"bert": "classifier", "roberta": "classifier.out_proj", "distilbert": "classifier", "albert": "classifier"}


def rows_of(*lengths: int) -> list[Encoded]:
    batch = batch_of(list(lengths))
    ids = batch.inputs["input_ids"].tolist()
    return [Encoded(tuple(row[:n]), None, 0, i) for i, (row, n) in enumerate(zip(ids, lengths, strict=True))]


def activations(module, units, rows, batch_size=4):
    return mean_activations(module, units, batches(rows, batch_size=batch_size, pad_id=PAD))


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_layer_has_its_units_and_the_pooler_comes_last(kind):
    model = model_of(kind)
    units, blocks = find_units(model, pooler=True), find_units(model, pooler=False)
    assert units[: len(blocks)] == blocks
    assert len(blocks) == (1 if kind == "albert" else LAYERS)
    assert {group.count for group in blocks} == {64 if kind == "gpt2" else WIDTH}
    expected = {"electra": "classifier.out_proj"} | POOLER
    assert [group.name for group in units[len(blocks) :]] == ([expected[kind]] if kind in expected else [])
    parameters = dict(model.named_parameters())
    for group in units:
        for parameter, axis in group.cuts.items():
            assert parameters[parameter].shape[axis] == group.count
    gated = kind in ("llama", "qwen2")
    assert all(len(group.cuts) == 3 for group in blocks)
    assert all(any(name.endswith("gate_proj.weight") for name in group.cuts) == gated for group in blocks)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_unit_without_its_entries_is_silent_and_without_effect(kind):
    """Zeroing all cuts of a unit is the same as taking its activation out, whatever else the model does."""
    model = model_of(kind)
    batch = batch_of([7, 5]).inputs
    for group in find_units(model, pooler=True):
        unit = 3

        def silence(_, given, at=unit):
            value = given[0].clone()
            value[..., at] = 0
            return (value, *given[1:])

        handle = model.get_submodule(group.name).register_forward_pre_hook(silence)
        with torch.no_grad():
            expected = model(**batch).logits
        handle.remove()
        saved = {name: p.detach().clone() for name, p in model.named_parameters()}
        with torch.no_grad():
            for parameter, axis in group.cuts.items():
                model.get_parameter(parameter).select(axis, unit).zero_()
            found = model(**batch).logits
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        if kind != "roberta":  # with random weights a tanh may be saturated, not the others
            assert not torch.allclose(found, model_of(kind)(**batch).logits, atol=1e-6)
        # A pruned unit has no activation of its own left.
        assert float(activations(model, [group], rows_of(7, 5))[0][unit]) == 0.0
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(saved[name])


@pytest.mark.parametrize("kind", ["bert", "distilbert", "gpt2", "llama"])
def test_activations_are_means_over_real_tokens_whatever_the_batches(kind):
    model = model_of(kind)
    units, blocks = find_units(model, pooler=True), find_units(model, pooler=False)
    rows = rows_of(3, 9, 6, 5, 9)
    alone = [torch.zeros(group.count, dtype=torch.float64) for group in units]
    for row in rows:
        for place, (mean, group) in enumerate(zip(activations(model, units, [row]), units, strict=True)):
            alone[place] += mean * (len(row.ids) if group in blocks else 1)
    expected = [
        total / (sum(len(row.ids) for row in rows) if group in blocks else len(rows))
        for total, group in zip(alone, units, strict=True)
    ]
    for batch_size in (2, 5):
        for found, want in zip(activations(model, units, rows, batch_size), expected, strict=True):
            torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-7)
    assert all(float(mean.min()) >= 0 for mean in expected)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_activations_of_bert_are_those_after_the_nonlinearity():
    model = model_of("bert")
    (first, *_) = find_units(model, pooler=False)
    kept = []
    layer = model.bert.encoder.layer[0].intermediate.dense
    handle = layer.register_forward_hook(lambda _, __, out: kept.append(out.detach()))
    (found,) = activations(model, [first], rows_of(6))
    handle.remove()
    expected = nn.functional.gelu(kept[0][0]).double().abs().mean(0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(CheckpointError, match="no feed-forward block is known in a Sequential"):
        find_units(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4)), pooler=False)


def test_a_model_of_which_only_some_layers_are_known_is_refused():
    model = model_of("llama")
    model.model.layers[1].mlp = nn.Identity()
    with pytest.raises(CheckpointError, match=r"layer 1 of model\.layers"):
        find_units(model, pooler=False)


def test_chunks_of_tokens_and_infinite_activations_are_refused():
    model = model_of("bert")
    units = find_units(model, pooler=False)
    for layer in model.bert.encoder.layer:
        layer.chunk_size_feed_forward = 2
    with pytest.raises(CheckpointError, match=r"chunk_size_feed_forward|sees"):
        activations(model, units, rows_of(6, 6, 6))
    assert not any(module._forward_pre_hooks for module in model.modules())
    model = model_of("bert")
    with torch.no_grad():
        model.bert.encoder.layer[0].intermediate.dense.bias[0] = float("inf")
    with pytest.raises(DataError, match="not finite"):
        activations(model, find_units(model, pooler=False), rows_of(6))


def test_a_device_needs_no_float64():
    model = model_of("bert")
    units = find_units(model, pooler=True)
    expected = activations(model, units, rows_of(6, 5, 6))

    def move(_, args, inputs):
        return args, {name: tensor.as_subclass(OnDevice) for name, tensor in inputs.items()}

    model.register_forward_pre_hook(move, with_kwargs=True)
    for found, want in zip(activations(model, units, rows_of(6, 5, 6)), expected, strict=True):
        assert torch.equal(found, want)
