from itertools import pairwise

import pytest
import torch

from purify_cli.errors import UsageError
from purify_cli.selection import bracketing, sweep
from purify_cli.selection.bits import Mask
from purify_cli.selection.mask import build_mask, count_for
from purify_cli.tensors import InMemory
from tests.reference.selection import select
from tests.reference.sources import Recorder, generator

RATIOS = (0.0, 0.001, 0.1, 0.3, 0.5, 0.77, 0.999, 1.0)


def make(kind):
    """Scores of several tensors, an empty and a scalar one among them."""
    g = generator(3)
    scores = {
        "b": torch.rand(120, 7, generator=g),
        "a": torch.rand(401, generator=g).square(),
        "scalar": torch.rand((), generator=g),
        "empty": torch.zeros(0, 3),
    }
    if kind == "ties":
        scores["b"] = (scores["b"] * 4).floor()
        scores["a"] = torch.zeros(401)
    elif kind == "first class":
        scores["b"][:20] = -scores["b"][:20] - 1e-3
    elif kind == "steps":
        scores["b"][50:60] += 5.0
    elif kind == "constant":
        scores = {name: torch.zeros_like(tensor) for name, tensor in scores.items()}
    elif kind == "tiny and huge":
        scores["b"] = torch.exp(200 * (scores["b"] - 0.5)).clamp(max=3e38)
        scores["b"][0] = 1e-45
    return scores


def flat(mask):
    return {name: mask.read(name) for name in mask.specs}


def same(mask, expected):
    return all(torch.equal(bits, expected[name]) for name, bits in flat(mask).items())


@pytest.mark.parametrize("kind", ["plain", "ties", "first class", "steps", "constant", "tiny and huge"])
@pytest.mark.parametrize("ratio", RATIOS)
def test_mask_equals_one_sort_over_everything(kind, ratio):
    scores = make(kind)
    mask = build_mask(InMemory(scores), ratio)
    assert same(mask, select(scores, ratio))
    assert mask.count == round(ratio * 1242) == sum(mask.per_tensor.values())
    assert mask.dimensions == 1242


@pytest.mark.parametrize("kind", ["plain", "ties", "steps", "constant", "first class"])
@pytest.mark.parametrize(("pieces", "length"), [(1, 1), (7, 11), (150, 2)])
@pytest.mark.parametrize("capacity", [1, 50, 1 << 22])
def test_neither_sample_nor_memory_changes_a_mask(monkeypatch, kind, pieces, length, capacity):
    monkeypatch.setattr(bracketing, "PIECES", pieces)
    monkeypatch.setattr(bracketing, "LENGTH", length)
    monkeypatch.setattr(sweep, "CAPACITY", capacity)
    scores = make(kind)
    for ratio in (0.01, 0.4, 0.9):
        assert same(build_mask(InMemory(scores), ratio), select(scores, ratio))


@pytest.mark.parametrize("size", [8, 64, 1024])
@pytest.mark.parametrize("threads", [1, 3])
def test_chunk_size_and_threads_change_nothing(monkeypatch, size, threads):
    monkeypatch.setattr(sweep, "PIECE", size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        scores = make("ties")
        assert same(build_mask(InMemory(scores), 0.6), select(scores, 0.6))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_order_of_tensors_changes_nothing():
    scores = make("ties")
    backwards = dict(reversed(scores.items()))
    one, two = build_mask(InMemory(scores), 0.6), build_mask(InMemory(backwards), 0.6)
    assert same(two, flat(one))


def test_masks_are_nested_in_the_ratio():
    scores = InMemory(make("ties"))
    masks = [flat(build_mask(scores, ratio)) for ratio in RATIOS]
    for smaller, larger in pairwise(masks):
        assert all(bool((larger[name] | ~smaller[name]).all()) for name in smaller)


def test_ties_spread_over_all_tensors():
    scores = InMemory({"a": torch.zeros(20_000), "b": torch.zeros(20_000)})
    counts = build_mask(scores, 0.5).per_tensor
    assert 9500 < counts["a"] < 10_500
    first_half = build_mask(scores, 0.5).read("a", 0, 10_000).sum()
    assert 4700 < first_half < 5300


def test_scores_are_read_about_once():
    scores = Recorder(InMemory({"a": torch.rand(1 << 20, generator=generator(4))}))
    build_mask(scores, 0.1)
    assert sum(stop - start for _, start, stop in scores.reads) < 1.6 * (1 << 20)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_nothing_is_read_for_all_or_none(ratio):
    scores = Recorder(InMemory(make("plain")))
    mask = build_mask(scores, ratio)
    assert not scores.reads
    assert all(bool((bits == bool(ratio)).all()) for bits in flat(mask).values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), -float("nan")])
def test_scores_that_are_no_numbers_are_refused(bad):
    scores = make("plain")
    scores["b"][100, 3] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        build_mask(InMemory(scores), 0.5)


def test_scores_of_another_type_are_refused():
    with pytest.raises(ValueError, match="float32"):
        build_mask(InMemory({"a": torch.rand(10).double()}), 0.5)


@pytest.mark.parametrize("ratio", [-0.1, 1.5, float("nan"), float("inf")])
def test_ratio_out_of_range(ratio):
    with pytest.raises(UsageError, match="--ratio"):
        count_for(ratio, 10)


@pytest.mark.parametrize(
    ("ratio", "dimensions", "count"), [(0.5, 5, 2), (0.5, 7, 4), (0.3, 10, 3), (0.0, 9, 0), (1.0, 9, 9)]
)
def test_counts_round_halves_to_the_even_number(ratio, dimensions, count):
    assert count_for(ratio, dimensions) == count


def test_any_run_of_a_mask_can_be_read():
    scores = make("plain")
    mask = build_mask(InMemory(scores), 0.4)
    whole = mask.read("a")
    for start in (0, 1, 7, 8, 9, 200, 400, 401):
        for stop in (start, min(start + 1, 401), min(start + 13, 401), 401):
            assert torch.equal(mask.read("a", start, stop), whole[start:stop])
            assert mask.any_in("a", start, stop) or not whole[start:stop].any()


def test_bits_are_packed_lowest_first():
    mask = build_mask(InMemory({"a": torch.tensor([9.0, 0, 0, 0, 0, 0, 0, 0, 0, 8.0])}), 0.2)
    assert mask.bits["a"].tolist() == [1, 2]
    assert isinstance(mask, Mask)
