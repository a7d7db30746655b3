import pytest
import torch

from purify_cli.errors import DataError, UsageError
from purify_cli.indicators.degenerate import survey
from purify_cli.indicators.drift_curvature import DRIFT_CURVATURE
from purify_cli.indicators.scores import LARGEST
from purify_cli.protocols import IndicatorInputs
from purify_cli.selection.mask import build_mask
from tests.reference.sources import auroc, generator, memory

WORDS = "bert.embeddings.word_embeddings.weight"


def fit(old, delta, bent, **settings):
    new = {name: w + delta[name] for name, w in old.items()}
    given = IndicatorInputs(suspect=memory(**new), reference=memory(**old), curvature=memory(**bent), settings=settings)
    return DRIFT_CURVATURE.fit(given)


def world(seed=0, rows=40, length=32):
    g = generator(seed)
    old = {"a": torch.randn(rows, length, generator=g), "b": torch.randn(length, generator=g)}
    delta = {name: 1e-3 * torch.randn(w.shape, generator=g) for name, w in old.items()}
    bent = {name: torch.rand(w.shape, generator=g).double().square().float() for name, w in old.items()}
    # What is stored decides, not what was meant.
    delta = {name: (old[name] + delta[name]) - old[name] for name in old}
    return old, delta, bent


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_guarded_scores_follow_the_formula(exponent):
    old, delta, bent = world()
    scores = fit(old, delta, bent, exponent=exponent, damping=0.3)
    for name in old:
        expected = delta[name].double() ** 2 / (bent[name].double() + 0.3 * bent[name].double().mean()) ** exponent
        torch.testing.assert_close(scores.read(name), expected.float().flatten(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_plain_scores_follow_the_bare_formula(exponent):
    old, delta, bent = world()
    bent["a"][3] = 0.0
    delta["a"][3, :4] = 0.0
    scores = fit(old, delta, bent, exponent=exponent, degenerate="plain").read("a").view(40, 32)
    expected = (delta["a"].double() ** 2 / bent["a"].double() ** exponent).float()
    torch.testing.assert_close(scores[:3], expected[:3], rtol=1e-5, atol=0)
    assert bool((scores[3, :4] == 0).all())
    assert torch.equal(scores[3, 4:], -delta["a"][3, 4:].abs())
    assert not bool(torch.signbit(scores[3, :4]).any())


def test_plain_puts_moved_entries_without_curvature_first_by_size_of_drift():
    old, delta, bent = world()
    bent["a"][3] = 0.0
    mask = build_mask(fit(old, delta, bent, degenerate="plain"), 16 / (41 * 32))
    largest = delta["a"][3].abs().topk(16).indices
    assert sorted(mask.read("a").nonzero().flatten().tolist()) == sorted((3 * 32 + largest).tolist())


def test_exponent_zero_ranks_by_drift():
    old, delta, bent = world()
    bent["a"][3] = 0.0
    for rule in ("guard", "plain"):
        scores = fit(old, delta, bent, exponent=0.0, degenerate=rule).read("a")
        assert torch.equal(scores.argsort(), delta["a"].flatten().double().square().float().argsort())


def test_unseen_and_unmoved_entries_are_counted():
    old, delta, bent = world()
    bent["a"][3] = 0.0
    bent["b"][0] = -0.5
    delta["a"][3, :4] = 0.0
    scores = fit(old, delta, bent)
    assert scores.degenerate == {
        "moved, no curvature": 29,
        "unmoved, no curvature": 4,
        "key bias without effect": 0,
        "weight decay alone": 0,
        "negative curvature": 1,
    }
    assert bool((scores.read("a", 96, 100) == 0).all())
    assert bool((scores.read("a", 100, 128) > 0).all())


def test_negative_curvature_counts_as_zero():
    old, delta, bent = world()
    bent["a"][5, 5] = -1e9
    guarded = fit(old, delta, bent).read("a")[5 * 32 + 5]
    mean = bent["a"].clamp(min=0).double().mean()
    torch.testing.assert_close(guarded, (delta["a"][5, 5].double() ** 2 / mean).float(), rtol=1e-5, atol=0)
    assert fit(old, delta, bent, degenerate="plain").read("a")[5 * 32 + 5] == -delta["a"][5, 5].abs()


def test_an_unreached_tensor_takes_the_scale_of_its_kind_else_of_all():
    g = generator(1)
    names = ["layer.0.w", "layer.1.w", "layer.2.w", "pooler.w"]
    keys = [name.replace(".", "__") for name in names]
    old = {key: torch.randn(8, generator=g) for key in keys}
    delta = {key: torch.full((8,), 0.5) for key in keys}
    bent = {keys[0]: torch.full((8,), 2.0), keys[1]: torch.full((8,), 4.0)}
    bent |= {keys[2]: torch.zeros(8), keys[3]: torch.zeros(8)}
    bent["other"] = torch.full((8,), 30.0)
    old["other"], delta["other"] = torch.zeros(8), torch.ones(8)
    new = {name: w + delta[name] for name, w in old.items()}
    scales = survey(memory(**new), memory(**old), memory(**bent)).scales
    assert scales["layer.2.w"] == pytest.approx(3.0)
    assert scales["pooler.w"] == pytest.approx(12.0)
    # A tensor that the curvature lacks is one that was never reached.
    del bent["pooler__w"]
    assert survey(memory(**new), memory(**old), memory(**bent)).scales == pytest.approx(scales)


def test_more_rows_of_curvature_than_of_weights_are_read_in_the_first():
    old, delta, bent = world()
    expected = fit(old, delta, bent).read("a")
    more = {**bent, "a": torch.cat([bent["a"], torch.full((3, 32), 9.0)])}
    assert torch.equal(fit(old, delta, more).read("a"), expected)


def test_scores_that_overflow_stay_finite():
    old, delta, bent = world()
    delta["a"][0, 0], bent["a"][0, 0] = 1e30, 1e-38
    assert fit(old, delta, bent, degenerate="plain").read("a")[0] == LARGEST


def attention(separator, key, query, gradient):
    """Query and key bias, with this much curvature in the key bias."""
    g = generator(2)
    names = {
        f"layer__0__attention{separator}{key}__bias": gradient,
        f"layer__0__attention{separator}{query}__bias": 1e-3,
    }
    old = {name: torch.randn(24, generator=g) for name in names}
    delta = {name: 1e-3 * torch.randn(24, generator=g) for name in names}
    bent = {name: scale * (0.5 + torch.rand(24, generator=g)) for name, scale in names.items()}
    return old, delta, bent, next(iter(names)).replace("__", ".")


@pytest.mark.parametrize(("key", "query"), [("self__key", "self__query"), ("k_proj", "q_proj"), ("k_lin", "q_lin")])
def test_key_biases_without_effect_rank_last(key, query):
    old, delta, bent, name = attention("__", key, query, gradient=1e-3 * 1e-13)
    scores = fit(old, delta, bent)
    assert bool((scores.read(name) == 0).all())
    assert scores.degenerate["key bias without effect"] == 24
    assert bool((scores.read(name.replace(key.replace("__", "."), query.replace("__", "."))) > 0).all())
    assert bool((fit(old, delta, bent, degenerate="plain").read(name) > 1e3).all())


def test_key_biases_with_rotary_positions_are_ordinary():
    old, delta, bent, name = attention("__", "k_proj", "q_proj", gradient=1e-3)
    scores = fit(old, delta, bent)
    assert bool((scores.read(name) > 0).all())
    assert scores.degenerate["key bias without effect"] == 0


def test_only_the_middle_third_of_a_fused_bias_ranks_last():
    g = generator(3)
    name = "h__0__attn__c_attn__bias"
    old, delta = {name: torch.randn(30, generator=g)}, {name: 1e-3 * torch.randn(30, generator=g)}
    bent = {name: 0.5 + torch.rand(30, generator=g)}
    bent[name][10:20] *= 1e-13
    scores = fit(old, delta, bent)
    silent = scores.read("h.0.attn.c_attn.bias") == 0
    assert silent.nonzero().flatten().tolist() == list(range(10, 20))
    for start, stop in ((5, 15), (12, 14), (15, 25), (20, 30), (0, 10)):
        assert torch.equal(scores.read("h.0.attn.c_attn.bias", start, stop) == 0, silent[start:stop])


@pytest.mark.parametrize(
    "settings",
    [
        {"degenerate": "guess"},
        {"exponent": -1.0},
        {"exponent": float("nan")},
        {"damping": 0.0},
        {"damping": float("inf")},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UsageError):
        fit(*world(), **settings)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_curvature_that_is_no_number_is_refused(bad):
    old, delta, bent = world()
    bent["a"][1, 1] = bad
    with pytest.raises(DataError, match="curvature of a"):
        fit(old, delta, bent)


def test_curvature_of_zero_everywhere_is_refused():
    old, delta, bent = world()
    with pytest.raises(DataError, match="zero everywhere"):
        fit(old, delta, {name: torch.zeros_like(h) for name, h in bent.items()})


def test_missing_curvature_is_refused():
    old, _, _ = world()
    with pytest.raises(UsageError, match="needs curvature"):
        DRIFT_CURVATURE.fit(IndicatorInputs(suspect=memory(**old), reference=memory(**old)))


def planted(seed, samples=32):
    """Draw drift as theory has it: variance k·H, 20 times larger on one in twenty entries; Ĥ from n gradients."""
    g = generator(seed)
    curvature = torch.exp(3 * torch.randn(200, 100, generator=g))
    poison = torch.rand(200, 100, generator=g) < 0.05
    scale = torch.where(poison, 20.0, 1.0)
    delta = 1e-4 * torch.randn(200, 100, generator=g) * (curvature * scale).sqrt()
    estimate = curvature * torch.randn(samples, 200, 100, generator=g).square().mean(0)
    return delta, estimate, poison.flatten()


def test_planted_poison_ranks_above_clean_dimensions():
    delta, estimate, poison = planted(0)
    scores = fit({"a": torch.zeros(200, 100)}, {"a": delta}, {"a": estimate}, degenerate="plain").read("a")
    assert auroc(scores, poison) > 0.8
    assert auroc(scores, poison) > auroc(delta.abs().flatten(), poison) + 0.1
    top = scores.topk(len(scores) // 100).indices
    assert poison[top].double().mean() > 0.5
