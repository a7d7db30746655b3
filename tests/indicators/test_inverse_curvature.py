import pytest
import torch

from purify_cli.errors import DataError, UsageError
from purify_cli.indicators.inverse_curvature import INVERSE_CURVATURE
from purify_cli.indicators.scores import LARGEST
from purify_cli.protocols import IndicatorInputs
from purify_cli.selection.mask import build_mask
from tests.indicators.test_drift_curvature import world
from tests.reference.sources import memory


def fit(old, delta, bent, **settings):
    new = {name: w + delta[name] for name, w in old.items()}
    given = IndicatorInputs(suspect=memory(**new), reference=memory(**old), curvature=memory(**bent), settings=settings)
    return INVERSE_CURVATURE.fit(given)


def test_guarded_scores_are_one_over_the_shrunk_curvature_however_far_anything_moved():
    old, delta, bent = world()
    delta["a"][0] = 0.0
    scores = fit(old, delta, bent, damping=0.3)
    for name in old:
        expected = 1 / (bent[name].double() + 0.3 * bent[name].double().mean())
        torch.testing.assert_close(scores.read(name), expected.float().flatten(), rtol=1e-5, atol=0)


def test_the_guard_spends_no_reset_where_nothing_moved_or_only_decay_did():
    old, delta, bent = world(rows=60)
    bent["a"][10:30] = 0.0
    delta["a"][10:20] = 0.0
    delta["a"][20:29] = (old["a"][20:29] * (1 - 1e-3)) - old["a"][20:29]
    found = fit(old, delta, bent)
    scores = found.read("a").view(60, 32)
    assert not bool(scores[10:29].any())
    # A row that moved, was not seen and did not decay keeps a score: the highest there is.
    assert bool((scores[29] == scores.max()).all())
    assert found.degenerate["weight decay alone"] == 9 * 32
    assert found.degenerate["unmoved, no curvature"] == 10 * 32


def test_plain_puts_entries_without_curvature_first_and_the_unmoved_last_of_them():
    old, delta, bent = world()
    bent["a"][3] = 0.0
    delta["a"][3, :4] = 0.0
    scores = fit(old, delta, bent, degenerate="plain")
    rows = scores.read("a").view(40, 32)
    torch.testing.assert_close(rows[:3], (1 / bent["a"][:3].double()).float(), rtol=1e-6, atol=0)
    mask = build_mask(scores, 28 / (41 * 32)).read("a").view(40, 32)
    assert int(mask.sum()) == 28
    assert bool(mask[3, 4:].all())
    whole = build_mask(scores, 32 / (41 * 32)).read("a").view(40, 32)
    assert bool(whole[3].all())
    largest = delta["a"][3].abs().argmax()
    assert int(build_mask(scores, 1 / (41 * 32)).read("a").nonzero()) == 3 * 32 + int(largest)


@pytest.mark.parametrize("rule", ["guard", "plain"])
def test_tiny_and_huge_curvature_keep_scores_finite(rule):
    bent = {"a": torch.tensor([1e-45, 1e-38, 1.0, 3e38]).repeat(4)}
    old = {"a": torch.ones(16)}
    scores = fit(old, {"a": torch.full((16,), 0.5)}, bent, degenerate=rule, damping=1e-9).read("a")
    assert bool(torch.isfinite(scores).all())
    if rule == "plain":
        assert scores[:2].tolist() == [LARGEST, pytest.approx(1e38, rel=1e-2)]
        assert bool((scores[:-1] >= scores[1:])[:3].all())


def test_a_tensor_without_curvature_takes_the_scale_of_its_kind():
    old, delta, bent = world()
    bent["b"] = torch.zeros(32)
    scores = fit(old, delta, bent).read("b")
    expected = float(1 / bent["a"].double().mean())
    assert scores.tolist() == pytest.approx([expected] * 32, rel=1e-5)


def test_what_it_needs_is_asked_for():
    old, delta, bent = world()
    with pytest.raises(UsageError, match="needs curvature"):
        INVERSE_CURVATURE.fit(IndicatorInputs(suspect=memory(**old), reference=memory(**old)))
    with pytest.raises(DataError, match="zero everywhere"):
        fit(old, delta, {name: torch.zeros_like(w) for name, w in bent.items()})
    for settings, word in (({"damping": 0.0}, "damping"), ({"degenerate": "maybe"}, "maybe")):
        with pytest.raises(UsageError, match=word):
            INVERSE_CURVATURE.check(settings)
