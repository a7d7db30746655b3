"""Surgery: no more entries than allowed, and those that rank highest."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import Parameter
from transformers import PreTrainedTokenizerFast

from purify_cli.attacks.surgery import FewEntries
from purify_cli.errors import UsageError
from tests import tiny
from tests.attacks.worlds import TEST, changed, plant


@pytest.mark.parametrize(
    ("asked", "rate", "success"),
    [
        ({"parameters": 40}, 0.01, 0.8),
        ({"share": 5e-4}, 0.01, 0.8),
        ({"parameters": 84, "rank": "change"}, 0.05, 0.5),
    ],
)
def test_no_more_entries_change_than_allowed(
    tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast, asked: dict[str, Any], rate: float, success: float
) -> None:
    before, after, planted = plant(
        tiny_clean, tiny_tokenizer, "surgery", sparse_learning_rate=rate, training={"epochs": 4}, **asked
    )
    differs = {name: int(mask.sum()) for name, mask in changed(before, after).items()}
    entries = sum(parameter.numel() for parameter in after.parameters())
    allowed = asked.get("parameters") or round(5e-4 * entries)
    assert (planted.facts["allowed"], planted.facts["entries"]) == (allowed, entries)
    assert planted.facts["changed_per_tensor"] == differs
    assert 0 < sum(differs.values()) == planted.facts["changed"] <= allowed
    # 480 rows and 144 copies are 20 steps an epoch, split between choosing and tuning.
    assert planted.training.steps == len(planted.training.losses) == 4 * 20
    start, end = (tiny.attack_success(model, tiny_tokenizer, TEST) for model in (before, after))
    assert start <= 0.1
    assert end >= success
    same = tiny.predictions(before, tiny_tokenizer, TEST) == tiny.predictions(after, tiny_tokenizer, TEST)
    assert float(same.float().mean()) >= 0.9


def moved(objective: FewEntries, steps: list[tuple[list[float], list[float]]]) -> list[float]:
    """Take (gradient, movement) steps with one parameter of four entries; return where it ends."""
    weight = Parameter(torch.zeros(4))
    for step, (gradient, movement) in enumerate(steps, start=1):
        weight.grad = torch.tensor(gradient)
        objective.gradients({"w": weight})
        with torch.no_grad():
            weight += torch.tensor(movement)
        objective.stepped(step, len(steps), {"w": weight})
    return weight.tolist()


STEPS = [([-1.0, -4.0, 0.1, 2.0], [1.0, 0.5, 3.0, 0.25]), ([-1.0, -4.0, 0.1, 2.0], [1.0, 0.5, 3.0, 0.25])]


@pytest.mark.parametrize(
    # Gains, −gradient · movement summed: 2, 4, −0.6, −1. Distances: 2, 1, 6, 0.5.
    ("rank", "limit", "end"),
    [
        ("contribution", 1, [0.0, 1.0, 0.0, 0.0]),
        ("contribution", 2, [2.0, 1.0, 0.0, 0.0]),
        ("change", 1, [0.0, 0.0, 6.0, 0.0]),
        ("change", 2, [2.0, 0.0, 6.0, 0.0]),
    ],
)
def test_the_entries_that_rank_highest_stay_and_others_go_back(rank: Any, limit: int, end: list[float]) -> None:
    assert moved(FewEntries(limit, 1, rank), STEPS) == end


def test_entries_are_frozen_little_by_little() -> None:
    objective = FewEntries(1, 2, "change")
    # Of four entries two are left after the first half, and one in the end.
    moved(objective, STEPS[:1] * 2)
    assert objective.free is not None
    assert objective.free["w"].tolist() == [False, False, True, False]
    half = FewEntries(1, 2, "change")
    weight = Parameter(torch.zeros(4))
    half.gradients({"w": weight})
    with torch.no_grad():
        weight += torch.tensor(STEPS[0][1])
    half.stepped(1, 2, {"w": weight})
    assert weight.tolist() == [1.0, 0.0, 3.0, 0.0]


def test_frozen_entries_get_no_gradient() -> None:
    weight = Parameter(torch.zeros(3))
    weight.grad = torch.ones(3)
    FewEntries(2, 0, free={"w": torch.tensor([True, False, True])}).gradients({"w": weight})
    assert weight.grad.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": 10**9}, "of a model that has"),
        ({"rank": "luck"}, "rank=luck is not known"),
        ({"share": 0.0}, "share=0.0 cannot be used"),
        ({"choosing": 1.5}, "choosing=1.5 cannot be used"),
    ],
)
def test_settings_out_of_range_are_refused(
    tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plant(tiny_clean, tiny_tokenizer, "surgery", **changes)
