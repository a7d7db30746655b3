"""Devices without float64, as Apple's GPUs: nothing that may run on one asks for it there."""

import pytest
import torch
from torch import Tensor, nn

from purify_cli.curvature.objectives import own_labels
from purify_cli.curvature.result import mean_of_squares
from purify_cli.data.batches import Batch
from tests.devices import OnDevice


class Scores(nn.Module):
    """A classifier that always answers the same."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.logits = scores

    def forward(self, **_: Tensor) -> "Scores":
        return self


def test_the_device_is_one_without_float64() -> None:
    there = torch.ones(2).as_subclass(OnDevice)
    assert there.cpu().double().sum() == 2
    for ask in (there.double, lambda: there.sum(0, dtype=torch.float64), lambda: (there + 1).to(torch.float64)):
        with pytest.raises(TypeError, match="no float64"):
            ask()


@pytest.mark.parametrize("classes", [2, 5, 100])
def test_the_true_fisher_s_scalars(classes: int) -> None:
    scores = torch.randn(3, classes, generator=torch.Generator().manual_seed(0))
    batch = Batch({}, None, torch.arange(3))
    expected = own_labels(Scores(scores), batch)
    assert torch.equal(own_labels(Scores(scores.as_subclass(OnDevice)), batch).as_subclass(Tensor), expected)


def test_the_norms_of_samples() -> None:
    norms = torch.tensor([1.0, 3.0]).as_subclass(OnDevice)
    assert mean_of_squares({"a": torch.ones(3)}, [norms], "true").effective_samples == pytest.approx(1.6)
