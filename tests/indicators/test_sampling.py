import torch

from purify_cli.indicators.sampling import sample_scores, spread
from purify_cli.tensors import InMemory


def test_runs_spread_evenly_and_stay_inside_their_tensors():
    sizes = {"a": 10_000, "none": 0, "b": 77, "c": 30_000}
    places = spread(sizes, pieces=400, length=10, seed=1)
    assert len(places) == 400
    assert all(0 <= start < stop <= min(sizes[name], start + 10) for name, start, stop in places)
    assert 95 <= sum(name == "a" for name, _, _ in places) <= 105
    assert places == spread(sizes, pieces=400, length=10, seed=1) != spread(sizes, pieces=400, length=10, seed=2)


def test_a_sample_of_a_small_source_is_all_of_it():
    source = InMemory({"a": torch.arange(50.0), "b": torch.arange(50.0, 80.0)})
    assert torch.equal(sample_scores(source, seed=0), torch.arange(80.0).double())
    large = InMemory({"a": torch.arange(20_000.0)})
    sample = sample_scores(large, seed=0, entries=1000)
    assert 900 <= len(sample) <= 1000
    assert 9000 < float(sample.mean()) < 11_000
    assert len(sample_scores(InMemory({}), seed=0)) == 0
