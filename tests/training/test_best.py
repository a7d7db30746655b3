import torch
from torch.nn import Parameter

from purify_cli.training.best import Best
from purify_cli.training.result import Validation


def follow(losses: list[float], patience: int | None) -> tuple[Best, Parameter, list[bool]]:
    best, parameter, exhausted = Best(patience), Parameter(torch.zeros(2)), []
    for step, loss in enumerate(losses, start=1):
        with torch.no_grad():
            parameter.fill_(step)
        best.look(Validation(step, loss), {"w": parameter})
        exhausted.append(best.exhausted)
    return best, parameter, exhausted


def test_the_lowest_loss_is_kept_and_the_earliest_of_equals() -> None:
    best, parameter, _ = follow([3.0, 1.0, 2.0, 1.0], None)
    assert best.step == 2
    best.put_back({"w": parameter})
    assert parameter.tolist() == [2.0, 2.0]


def test_patience_counts_validations_without_a_new_lowest() -> None:
    assert follow([3.0, 2.0, 2.5, 2.5, 1.0], 2)[2] == [False, False, False, True, False]
    assert follow([3.0, 4.0, 5.0], 1)[2] == [False, True, True]
    assert not any(follow([1.0, 2.0, 3.0, 4.0], None)[2])


def test_without_a_validation_nothing_is_put_back() -> None:
    best, parameter = Best(1), Parameter(torch.ones(2))
    best.put_back({"w": parameter})
    assert (best.step, best.exhausted, parameter.tolist()) == (None, False, [1.0, 1.0])
