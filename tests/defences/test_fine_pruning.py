import dataclasses

import pytest
import torch

from purify_cli.data.batches import batches
from purify_cli.defences import METHODS
from purify_cli.defences.fine_pruning import mean_activations
from purify_cli.defences.units import find_units
from purify_cli.errors import UsageError
from purify_cli.progress import SILENT
from purify_cli.tensors import read_tensor
from tests.defences.worlds import rework_inputs
from tests.reference.sources import piecewise

UNITS = 2 * 128 + 64
UP, DOWN = "bert.encoder.layer.0.intermediate.dense", "bert.encoder.layer.0.output.dense"


@pytest.fixture(scope="module")
def given(tiny, tiny_suspect, tiny_reference):
    return rework_inputs("fine-pruning", tiny_suspect, tiny_reference, tiny.sentiment_examples(32, seed=40))


@pytest.fixture(scope="module")
def ranked(given):
    return METHODS["fine-pruning"].prepare(given, SILENT)


def activations(given, weights):
    """Average what the units of the model with these weights do on the clean texts."""
    module = given.load(weights).module
    texts = batches(given.texts, batch_size=given.batch_size, pad_id=given.pad_id)
    return torch.cat(mean_activations(module, find_units(module, pooler=True), texts))


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.3, 0.5, 1.0])
def test_exactly_the_stated_number_of_units_is_zeroed_and_nothing_else(given, ranked, ratio):
    done = ranked(ratio)
    count = round(ratio * UNITS)
    assert done.facts["units"] == UNITS
    assert done.facts["pruned"] == sum(done.facts["pruned per layer"].values()) == count
    # A feed-forward unit has 64 weights in, a bias and 64 weights out; a pooler's 64, 1 and one per label.
    pooled = done.facts["pruned per layer"]["classifier"]
    assert sum(done.per_tensor.values()) == (count - pooled) * 129 + pooled * 67
    for name, spec in given.weights.specs.items():
        old, new = given.weights.read(name), done.weights.read(name)
        held = done.frozen.get(name, torch.zeros(spec.shape, dtype=torch.bool)).flatten()
        assert int(held.sum()) == done.per_tensor.get(name, 0)
        assert torch.equal(new[~held], old[~held])
        assert not bool(new[held].any())
        cuts = sorted({0, 1, spec.numel // 3, spec.numel})[1:-1]
        assert torch.equal(piecewise(done.weights, name, cuts), new)
    rows = done.frozen[f"{UP}.weight"].all(1)
    assert torch.equal(rows, done.frozen[f"{UP}.weight"].any(1))
    assert torch.equal(rows, done.frozen[f"{UP}.bias"])
    assert torch.equal(rows, done.frozen[f"{DOWN}.weight"].all(0))
    assert int(rows.sum()) == done.facts["pruned per layer"][DOWN]


def test_the_most_dormant_go_first_and_sets_are_nested(given, ranked):
    previous, scores = None, activations(given, given.weights)
    for ratio in (0.1, 0.2, 0.6):
        done = ranked(ratio)
        held = torch.cat([done.frozen[name].flatten() for name in sorted(done.frozen)])
        assert previous is None or not bool((previous & ~held).any())
        previous = held
        count = round(ratio * UNITS)
        assert done.facts["highest activation pruned"] == float(scores.sort().values[count - 1])


def test_pruned_units_are_silent_on_the_clean_texts(given, ranked):
    assert int((activations(given, ranked(0.3).weights) == 0).sum()) == round(0.3 * UNITS)


def test_unfrozen_names_no_entries_and_the_pooler_can_be_left_out(given):
    free = dataclasses.replace(given, settings={"frozen": False, "pooler": False})
    done = METHODS["fine-pruning"].prepare(free, SILENT)(0.5)
    assert done.frozen == {}
    assert done.facts["units"] == 256
    assert done.facts["pruned"] == 128
    assert not any("pooler" in name or name.startswith("classifier") for name in done.per_tensor)


def test_equal_inputs_give_equal_bits(given, ranked):
    assert torch.equal(activations(given, given.weights), activations(given, given.weights))
    one, two = METHODS["fine-pruning"].prepare(given, SILENT)(0.3), ranked(0.3)
    assert one.facts == two.facts
    for name in given.weights.specs:
        assert torch.equal(read_tensor(one.weights, name), read_tensor(two.weights, name))


def test_what_it_cannot_work_with_is_refused(given):
    method = METHODS["fine-pruning"]
    with pytest.raises(UsageError, match="there is none"):
        method.prepare(dataclasses.replace(given, texts=[]), SILENT)
    with pytest.raises(UsageError, match="frozen=3"):
        method.check({"frozen": 3})
    with pytest.raises(UsageError, match="no setting 'colour'"):
        method.check({"colour": 3})
