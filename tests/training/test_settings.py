import json
from typing import Any

import pytest
import torch

from purify_cli.errors import UsageError
from purify_cli.training import TrainingSettings, attack_settings, repair_settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": None},
        {"epochs": 1},
        {"steps": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"batch_size": -1},
        {"accumulation": 0},
        {"weight_decay": -0.1},
        {"warmup": 1.0},
        {"warmup": -0.5},
        {"max_grad_norm": 0.0},
        {"patience": 0},
        {"dtype": torch.float16},
    ],
    ids=lambda wrong: ",".join(f"{name}={value}" for name, value in wrong.items()),
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"learning_rate": 1e-3, "steps": 1, "batch_size": 1}
    TrainingSettings(**right)
    with pytest.raises(UsageError) as refused:
        TrainingSettings(**(right | wrong))
    assert refused.value.hint.endswith(".")


def test_defaults_of_repair_and_attack() -> None:
    repair, attack = repair_settings(), attack_settings()
    assert (repair.steps, repair.epochs, repair.learning_rate, repair.batch_size) == (60, None, 5e-5, 16)
    assert (attack.steps, attack.epochs, attack.learning_rate, attack.batch_size) == (None, 3, 5e-5, 32)
    assert repair.weight_decay == attack.weight_decay == 0.0


def test_epochs_and_steps_take_each_other_s_place() -> None:
    assert (repair_settings(epochs=2).steps, repair_settings(epochs=2).epochs) == (None, 2)
    assert (attack_settings(steps=9).steps, attack_settings(steps=9).epochs) == (9, None)
    assert repair_settings(steps=9, seed=4) == TrainingSettings(learning_rate=5e-5, steps=9, batch_size=16, seed=4)
    assert repair_settings(epochs=None) == repair_settings()


def test_record_is_plain_json_and_complete() -> None:
    record = repair_settings(dtype=torch.bfloat16).as_record()
    assert json.loads(json.dumps(record)) == record
    assert record["dtype"] == "bfloat16"
    assert set(record) == set(TrainingSettings.__slots__) - {"stop"}
    assert repair_settings(stop=3).as_record() == repair_settings().as_record() | {"stop": 3}


@pytest.mark.parametrize(("most", "passes"), [(64, 1), (30, 1), (20, 2), (8, 5), (1, 30)])
def test_a_bound_on_the_forward_pass_changes_no_step(most: int, passes: int) -> None:
    base = TrainingSettings(learning_rate=1e-4, steps=1, batch_size=30)
    bound = base.within(most)
    assert (bound.accumulation, bound.batch_size * bound.accumulation) == (passes, 30)
    assert bound.batch_size <= most
