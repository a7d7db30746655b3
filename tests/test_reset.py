from math import inf

import pytest
import torch

from purify_cli.checkpoint.aligned import CheckpointPair, Comparable
from purify_cli.indicators.law import Mixture
from purify_cli.reset import Overlay, posterior_blend, reset_to_reference
from purify_cli.selection.mask import build_mask
from purify_cli.tensors import InMemory, read_tensor
from tests.reference.sources import Recorder, generator, piecewise

TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


def make_pair(dtype=torch.float32):
    """A resized embedding with a tied second copy, a matrix, a head without reference, and a buffer."""
    g = generator(0)
    old = {"emb": torch.randn(10, 4, generator=g), "w": torch.randn(6, 5, generator=g)}
    new = {
        "emb": torch.cat([old["emb"] + 0.1 * torch.randn(10, 4, generator=g), torch.ones(3, 4)]),
        "w": old["w"] + 0.1 * torch.randn(6, 5, generator=g),
        "classifier": torch.randn(2, 4, generator=g),
    }
    stored = {name: tensor.to(dtype) for name, tensor in new.items()}
    stored["lm_head"] = stored["emb"].clone()
    stored["positions"] = torch.arange(5)
    return CheckpointPair(
        suspect=InMemory(stored),
        reference=InMemory({"bert." + name: tensor for name, tensor in old.items()}),
        comparables={
            "emb": Comparable(reference_name="bert.emb", shape=(10, 4)),
            "w": Comparable(reference_name="bert.w", shape=(6, 5)),
        },
        skipped=(),
        tied={"lm_head": "emb"},
    )


def random_mask(pair, ratio):
    g = generator(1)
    noise = {name: torch.rand(spec.shape, generator=g) for name, spec in pair.suspect_part.specs.items()}
    return build_mask(InMemory(noise), ratio)


@pytest.mark.parametrize("dtype", TYPES)
def test_ratio_0_is_the_suspect_and_ratio_1_the_reference_bit_for_bit(dtype):
    pair = make_pair(dtype)
    nothing = reset_to_reference(pair, random_mask(pair, 0.0))
    everything = reset_to_reference(pair, random_mask(pair, 1.0))
    assert list(nothing.specs.items()) == list(pair.suspect.specs.items())
    for name in pair.suspect.specs:
        assert torch.equal(nothing.read(name), pair.suspect.read(name))
        assert everything.read(name).dtype == pair.suspect.specs[name].dtype
    for name in pair.comparables:
        part = everything.read(name, 0, pair.comparables[name].entries)
        assert torch.equal(part, pair.reference_part.read(name))
    for name in ("classifier", "positions"):
        assert torch.equal(everything.read(name), pair.suspect.read(name))


@pytest.mark.parametrize("dtype", TYPES)
def test_only_chosen_entries_change(dtype):
    pair = make_pair(dtype)
    mask = random_mask(pair, 0.4)
    weights = reset_to_reference(pair, mask)
    for name, spec in pair.suspect_part.specs.items():
        expected = torch.where(mask.read(name), pair.reference_part.read(name), pair.suspect_part.read(name))
        assert torch.equal(weights.read(name, 0, spec.numel), expected)


def test_rows_without_counterpart_stay_and_tied_copies_follow():
    pair = make_pair()
    weights = reset_to_reference(pair, random_mask(pair, 1.0))
    assert bool((read_tensor(weights, "emb")[10:] == 1).all())
    assert torch.equal(read_tensor(weights, "lm_head"), read_tensor(weights, "emb"))


def test_any_pieces_give_the_same_weights():
    pair = make_pair()
    for weights in (
        reset_to_reference(pair, random_mask(pair, 0.5)),
        posterior_blend(pair, InMemory({"emb": torch.rand(10, 4), "w": torch.rand(6, 5)}), fit()),
    ):
        for name in weights.specs:
            for cuts in ([1], [3, 4], [2, 5]):
                assert torch.equal(piecewise(weights, name, cuts), weights.read(name))


def test_the_reference_is_read_only_where_something_is_reset():
    pair = make_pair()
    reference = Recorder(pair.reference)
    watched = CheckpointPair(
        suspect=pair.suspect, reference=reference, comparables=pair.comparables, skipped=(), tied=pair.tied
    )
    scores = InMemory({"emb": torch.zeros(10, 4), "w": torch.ones(6, 5)})
    weights = reset_to_reference(watched, build_mask(scores, 0.2))
    for name in weights.specs:
        weights.read(name)
    assert {name for name, _, _ in reference.reads} == {"bert.w"}


def fit(share=0.5):
    return Mixture(clean_scale=1.0, poison_scale=10.0, clean_share=share, samples=inf, gain=1.0, entries=100)


@pytest.mark.parametrize("dtype", TYPES)
def test_blend_scales_drift_by_the_probability_of_being_clean(dtype):
    pair = make_pair(dtype)
    scores = InMemory({"emb": 20 * torch.rand(10, 4, generator=generator(2)), "w": torch.zeros(6, 5)})
    weights = posterior_blend(pair, scores, fit())
    clean = fit().clean_probability(scores.read("emb"))
    old, new = pair.reference_part.read("emb").double(), pair.suspect_part.read("emb").double()
    torch.testing.assert_close(weights.read("emb", 0, 40), (old + clean * (new - old)).to(dtype))
    assert 0.05 < float(clean.min()) + 0.05 < float(clean.max())


@pytest.mark.parametrize(("share", "side"), [(1.0, "suspect_part"), (0.0, "reference_part")])
def test_certainty_keeps_or_restores_bit_for_bit(share, side):
    pair = make_pair()
    scores = InMemory({"emb": torch.rand(10, 4), "w": torch.rand(6, 5)})
    weights = posterior_blend(pair, scores, fit(share))
    assert torch.equal(weights.read("w"), getattr(pair, side).read("w"))


def test_an_overlay_replaces_tensors_and_keeps_types():
    base = InMemory({"a": torch.zeros(4, 2).bfloat16(), "b": torch.arange(3)})
    tuned = {"a": torch.full((4, 2), 1 / 3, requires_grad=True)}
    over = Overlay(base, tuned)
    assert list(over.specs.items()) == list(base.specs.items())
    assert torch.equal(over.read("a", 2, 5), torch.full((3,), 1 / 3).bfloat16())
    assert torch.equal(over.read("b"), torch.arange(3))
