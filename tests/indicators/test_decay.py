import pytest
import torch

from purify_cli.indicators.degenerate import survey
from purify_cli.indicators.drift_curvature import DRIFT_CURVATURE
from purify_cli.protocols import IndicatorInputs
from tests.reference.sources import generator, memory

ROWS, LENGTH = 200, 64


def trained(dtype, *, decay=0.01, steps=300, rate=5e-5, seed=0, used=60):
    """Tune an embedding by AdamW: rows below ``used`` get gradients, decay reaches all; store it as ``dtype``."""
    g = generator(seed)
    old = torch.randn(ROWS, LENGTH, generator=g) * 0.05
    weight = torch.nn.Parameter(old.clone())
    optimizer = torch.optim.AdamW([weight], lr=rate, weight_decay=decay)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        weight.grad = torch.zeros(ROWS, LENGTH)
        weight.grad[:used] = torch.randn(used, LENGTH, generator=g)
        optimizer.step()
    curvature = torch.zeros(ROWS, LENGTH)
    curvature[: used - 10] = torch.rand(used - 10, LENGTH, generator=g)
    return weight.detach().to(dtype), old.to(dtype), curvature


def fit(new, old, bent):
    return DRIFT_CURVATURE.fit(
        IndicatorInputs(suspect=memory(w=new), reference=memory(w=old), curvature=memory(w=bent))
    )


def common_decay(new, old, bent):
    return survey(memory(w=new), memory(w=old), memory(w=bent)).decayed.decay


@pytest.mark.parametrize("rate", [5e-5, 2e-5, 1e-3])
def test_rows_that_only_decayed_do_not_count_as_moved(rate):
    new, old, bent = trained(torch.float32, rate=rate)
    scores = fit(new, old, bent)
    by_row = scores.read("w").view(ROWS, LENGTH)
    # Rows 50 to 59 were trained, and the clean data does not see them: a trigger is such a row.
    assert bool((by_row[:60] > 0).any(1).all())
    assert bool((by_row[60:] == 0).all())
    assert scores.degenerate["weight decay alone"] == 140 * LENGTH
    expected = 0.01 * rate * 300 / 2
    assert common_decay(new, old, bent) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize(("dtype", "rate"), [(torch.bfloat16, 1e-3), (torch.float16, 1e-4)])
def test_decay_is_found_below_the_resolution_of_storage(dtype, rate):
    new, old, bent = trained(dtype, rate=rate)
    moved = (new != old)[60:]
    # Fewer than half of the entries moved, each by one unit in the last place.
    assert 0.05 < moved.double().mean() < 0.5
    by_row = fit(new, old, bent).read("w").view(ROWS, LENGTH)
    assert bool((by_row[50:60] > 0).any(1).all())
    assert (by_row[60:] == 0).all(1).double().mean() > 0.95


def test_without_decay_nothing_is_silenced():
    new, old, bent = trained(torch.float32, decay=0.0)
    scores = fit(new, old, bent)
    assert scores.degenerate["weight decay alone"] == 0
    assert scores.degenerate["moved, no curvature"] == 10 * LENGTH
    assert common_decay(new, old, bent) is None


def test_rows_that_clean_data_sees_keep_their_drift():
    new, old, bent = trained(torch.float32)
    bent[100, 3] = 1e-9
    assert bool((fit(new, old, bent).read("w").view(ROWS, LENGTH)[100] > 0).any())


def test_one_entry_that_grew_tells_a_row_from_decay():
    new, old, bent = trained(torch.float32)
    new[100, 3] = old[100, 3] * 1.01
    by_row = fit(new, old, bent).read("w").view(ROWS, LENGTH)
    assert bool((by_row[100] > 0).any())
    assert bool((by_row[101] == 0).all())


def test_a_row_that_shrank_more_than_the_others_counts():
    new, old, bent = trained(torch.float32)
    new[100] = old[100] * 0.9
    assert bool((fit(new, old, bent).read("w").view(ROWS, LENGTH)[100] > 0).all())


def test_a_single_shrunk_row_is_no_weight_decay():
    g = generator(9)
    old = torch.randn(ROWS, LENGTH, generator=g)
    new, bent = old.clone(), torch.zeros(ROWS, LENGTH)
    new[7] *= 0.5
    bent[:5] = 1.0
    assert bool((fit(new, old, bent).read("w").view(ROWS, LENGTH)[7] > 0).all())


def test_rows_are_judged_whole_whatever_the_chunk(monkeypatch):
    from purify_cli.indicators import degenerate

    new, old, bent = trained(torch.float32)
    expected = fit(new, old, bent).read("w")
    for size in (1, 100, 640):
        monkeypatch.setattr(degenerate, "CHUNK", size)
        scores = fit(new, old, bent)
        assert torch.equal(scores.read("w"), expected)
        assert torch.equal(
            scores.read("w", 61 * LENGTH + 5, 99 * LENGTH + 7), expected[61 * LENGTH + 5 : 99 * LENGTH + 7]
        )


def test_a_common_decay_that_no_recipe_makes_hides_nothing():
    g = generator(10)
    old = torch.randn(ROWS, LENGTH, generator=g)
    new, bent = old * 0.7, torch.zeros(ROWS, LENGTH)
    bent[0] = 1.0
    new[100] = torch.where(torch.rand(LENGTH, generator=g) < 0.4, old[100] * 0.2, old[100])
    scores = fit(new, old, bent)
    assert common_decay(new, old, bent) is None
    assert bool((scores.read("w").view(ROWS, LENGTH)[100] > 0).any())
