import pytest
import torch
from torch import Tensor, nn

from purify_cli.curvature.objectives import own_labels
from purify_cli.data.batches import Batch


class Scores(nn.Module):
    """A classifier whose logits are its parameter."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, **_: Tensor) -> "Scores":
        return self

    @property
    def logits(self) -> Tensor:
        return self.scores


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
def test_the_columns_are_a_root_of_the_softmax_covariance(classes: int, spread: float) -> None:
    scores = spread * torch.randn(4, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    module = Scores(scores)
    made = own_labels(module, Batch({}, None, torch.arange(4)))
    assert made.shape == (4, classes - 1)
    columns = torch.stack(
        [torch.autograd.grad(c.sum(), module.scores, retain_graph=True)[0] for c in made.unbind(1)], 2
    )
    p = scores.softmax(1)
    expected = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    found = columns @ columns.transpose(1, 2)
    assert bool(((found - expected).abs() <= 1e-12 * expected.abs() + 1e-16).all())
    diagonal = (p * (1 - p), found.diagonal(dim1=1, dim2=2))
    torch.testing.assert_close(diagonal[1], diagonal[0], rtol=1e-9, atol=1e-16)


def test_two_classes_take_one_column_of_the_logit_difference() -> None:
    module = Scores(torch.tensor([[2.0, -1.0]]))
    (gradient,) = torch.autograd.grad(own_labels(module, Batch({}, None, torch.arange(1))).sum(), module.scores)
    p = torch.tensor([2.0, -1.0]).softmax(0)
    torch.testing.assert_close(gradient, (p[0] * p[1]).sqrt() * torch.tensor([[1.0, -1.0]]))
