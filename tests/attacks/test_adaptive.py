"""Adaptive: what drift is ordinary, and a suspect that stays within it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import Parameter
from transformers import PreTrainedTokenizerFast

from purify_cli.attacks import ATTACKS
from purify_cli.attacks.adaptive import drift_bounds, ordinary_drift
from purify_cli.errors import UsageError
from purify_cli.training.state import STATE_FILE
from tests import tiny
from tests.attacks.worlds import TEST, TRAIN, classifier, plant, plant_job, poison_settings
from tests.training.helpers import KillAfter, Killed


@pytest.mark.parametrize("quantile", [0.001, 0.5, 0.9, 1.0])
def test_bounds_are_a_quantile_of_the_twins_drift_against_curvature(quantile: float) -> None:
    torch.manual_seed(0)
    curvature, reference, drift = torch.rand(200).square(), torch.randn(200), torch.randn(200)
    drift[::4] = 0
    (bound,) = drift_bounds(
        {"a": curvature}, {"a": reference + drift}, {"a": reference}, floor=0.5, quantile=quantile
    ).values()
    damped = curvature + 0.5 * curvature.mean()
    # Of the 150 entries that moved, none, half, nine tenths or all of the others lie below the one that counts.
    ratio = (drift.square() / damped)[drift != 0].sort().values[max(0, round(150 * quantile) - 1)]
    torch.testing.assert_close(bound, (ratio * damped).sqrt(), rtol=1e-3, atol=1e-6)


def test_without_curvature_the_largest_drift_is_ordinary_and_without_drift_none() -> None:
    zeros = torch.zeros(2)
    twin = {"flat": torch.tensor([0.3, 0.0]), "still": zeros, "unmeasured": torch.ones(2)}
    bounds = drift_bounds(
        {"flat": zeros, "still": torch.ones(2)}, twin, dict.fromkeys(twin, zeros), floor=1.0, quantile=1.0
    )
    assert {name: bound.tolist() for name, bound in bounds.items()} == {
        "flat": pytest.approx([0.3, 0.3]),
        "still": [0.0, 0.0],
    }


@pytest.mark.parametrize(("strength", "end"), [(0.5, [1.05, 0.5, 1.2, 1.0]), (1.0, [1.05, 0.9, 1.1, 1.0])])
def test_drift_within_its_bound_is_left_alone_and_the_rest_is_pulled(strength: float, end: list[float]) -> None:
    weight, other = Parameter(torch.tensor([1.05, 0.1, 1.3, 1.0])), Parameter(torch.tensor([7.0]))
    (pull,) = ordinary_drift({"w": torch.ones(4)}, {"w": torch.tensor([0.1, 0.1, 0.1, 0.0])}, strength).step_hooks
    pull(1, 1, {"w": weight, "unbounded": other})
    torch.testing.assert_close(weight.detach(), torch.tensor(end))
    assert other.item() == 7.0


@pytest.mark.parametrize(("quantile", "goes_on"), [(0.9, True), (0.5, False)])
def test_an_interrupted_attack_goes_on_only_within_the_bounds_it_began_with(
    tmp_path: Path,
    tiny_clean: Path,
    tiny_tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    quantile: float,
    goes_on: bool,
) -> None:
    monkeypatch.setattr("purify_cli.training.loop.STATE_EVERY", 5)

    def attack(within: float, progress: KillAfter) -> KillAfter:
        settings = poison_settings("adaptive", tiny.TARGET, quantile=within)
        made = ATTACKS["adaptive"].poison(TRAIN[:240], settings)
        job = plant_job(
            classifier(tiny_clean), tiny_tokenizer, TRAIN[:240], made, settings, epochs=None, steps=20, batch_size=8
        )
        ATTACKS["adaptive"].plant(replace(job, resume=tmp_path), progress)
        return progress

    with pytest.raises(Killed):
        attack(0.9, KillAfter(20 + 128 // 8 + 12))  # the twin, its curvature, and some steps of the suspect
    assert (tmp_path / STATE_FILE).is_file()
    notes = attack(quantile, KillAfter(None)).notes
    assert any("goes on after step" in note for note in notes) is goes_on


def test_no_drift_is_beyond_what_a_twin_shows(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    beyond = {}
    for strength in (1e-3, 1.0):
        before, after, planted = plant(
            tiny_clean, tiny_tokenizer, "adaptive", clean=TRAIN[:240], strength=strength, training={"epochs": 4}
        )
        beyond[strength] = planted.facts["beyond_their_bound"]
        assert planted.facts["curvature_samples"] == 128
        assert planted.facts["bounded_entries"] == sum(parameter.numel() for parameter in before.parameters())
        assert tiny.attack_success(after, tiny_tokenizer, TEST) >= 0.8
    assert beyond[1.0] == 0 < beyond[1e-3]


def test_a_strength_above_one_is_refused(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UsageError, match=r"strength=2\.0 cannot be used"):
        plant(tiny_clean, tiny_tokenizer, "adaptive", strength=2.0)
