import pytest
from torch import nn

from purify_cli.training.schedule import parameter_groups, rate_factor, warmup_steps


def test_factor_without_warmup_falls_from_one_in_equal_parts() -> None:
    assert [rate_factor(step, 4, 0) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]


def test_factor_with_warmup_rises_then_falls() -> None:
    assert [rate_factor(step, 7, 3) for step in range(7)] == [0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]


@pytest.mark.parametrize(("total", "share", "steps"), [(100, 0.1, 10), (60, 0.0, 0), (3, 0.9, 2), (1, 0.9, 0)])
def test_warmup_is_a_share_and_never_the_whole_run(total: int, share: float, steps: int) -> None:
    assert warmup_steps(total, share) == steps
    assert rate_factor(steps, total, steps) == 1.0


def test_decay_spares_vectors_unless_told_otherwise() -> None:
    module = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 2), nn.LayerNorm(2))
    named = dict(module.named_parameters())
    decayed, spared = parameter_groups(named, weight_decay=0.1, decay_all=False)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(named[n]) for n in ("0.weight", "1.weight")}
    assert {id(p) for p in spared["params"]} == {id(named[n]) for n in ("1.bias", "2.weight", "2.bias")}
    (everything,) = parameter_groups(named, weight_decay=0.1, decay_all=True)
    assert everything["weight_decay"] == 0.1
    assert len(everything["params"]) == len(named)
