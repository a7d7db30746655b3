import pytest
import torch

from purify_cli.errors import DataError, UsageError
from purify_cli.indicators.attribution import ATTRIBUTION
from purify_cli.protocols import IndicatorInputs
from tests.reference.sources import generator, memory


def world(seed=0):
    g = generator(seed)
    old = {"a": torch.randn(40, 32, generator=g), "b": torch.randn(32, generator=g)}
    new = {name: w + 1e-3 * torch.randn(w.shape, generator=g) for name, w in old.items()}
    bent = {name: torch.rand(w.shape, generator=g) for name, w in old.items()}
    slope = {name: torch.randn(w.shape, generator=g) for name, w in old.items()}
    return old, new, bent, slope


def fit(old, new, bent, slope, **settings):
    return ATTRIBUTION.fit(
        IndicatorInputs(
            suspect=memory(**new),
            reference=memory(**old),
            curvature=memory(**bent),
            gradient=memory(**slope),
            settings=settings,
        )
    )


@pytest.mark.parametrize("settings", [{}, {"exponent": 0.0}, {"exponent": 0.5}, {"exponent": 1.0}])
def test_scores_follow_the_formula(settings):
    old, new, bent, slope = world()
    scores = fit(old, new, bent, slope, **settings)
    delta = {name: (new[name] - old[name]).double() for name in old}
    cost = {name: bent[name].double() * delta[name] ** 2 for name in old}
    mean = sum(one.sum() for one in cost.values()) / sum(one.numel() for one in cost.values())
    for name in old:
        carried = (slope[name].double() * delta[name]).clamp(min=0)
        expected = carried / (cost[name] + mean) ** settings.get("exponent", 0.5)
        assert torch.allclose(scores.read(name), expected.flatten().float(), rtol=1e-5)


def test_what_works_against_the_trigger_or_did_not_move_stays():
    old, new, bent, slope = world(1)
    new["b"][:5] = old["b"][:5]
    scores = fit(old, new, bent, slope).read("b")
    against = (slope["b"] * (new["b"] - old["b"])) <= 0
    assert bool((scores[against] == 0).all())
    assert bool((scores[~against] > 0).all())


def test_the_scale_of_the_curvature_does_not_change_the_order():
    old, new, bent, slope = world(2)
    one = fit(old, new, bent, slope).read("a")
    other = fit(old, new, {name: 7.0 * h for name, h in bent.items()}, slope).read("a")
    assert torch.allclose(other, one / 7.0**0.5, rtol=1e-5)


def test_negative_curvature_counts_as_none_and_a_missing_tensor_as_never_reached():
    old, new, bent, slope = world(3)
    bent["a"][0] = -5.0
    floor = {**bent, "a": bent["a"].clamp(min=0)}
    assert torch.equal(fit(old, new, bent, slope).read("a"), fit(old, new, floor, slope).read("a"))
    lacking = {"a": bent["a"]}
    zero = {"a": bent["a"], "b": torch.zeros(32)}
    assert torch.equal(fit(old, new, lacking, slope).read("b"), fit(old, new, zero, slope).read("b"))


def test_what_cannot_be_weighed_is_refused():
    old, new, bent, slope = world(4)
    with pytest.raises(UsageError, match="needs a trigger"):
        ATTRIBUTION.fit(IndicatorInputs(suspect=memory(**new), reference=memory(**old), curvature=memory(**bent)))
    with pytest.raises(UsageError, match="needs curvature"):
        ATTRIBUTION.fit(IndicatorInputs(suspect=memory(**new), reference=memory(**old), gradient=memory(**slope)))
    with pytest.raises(DataError, match="zero everywhere"):
        fit(old, old, bent, slope)
    with pytest.raises(DataError, match="zero everywhere"):
        fit(old, new, {name: torch.zeros_like(h) for name, h in bent.items()}, slope)


@pytest.mark.parametrize(
    "settings", [{"exponent": -0.1}, {"exponent": 2.5}, {"exponent": float("nan")}, {"damping": 1.0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UsageError, match=next(iter(settings))):
        ATTRIBUTION.check(settings)
