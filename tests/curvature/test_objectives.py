import pytest
import torch
from torch import Tensor, nn

from purify_cli.curvature.objectives import DRAWS, MOST_EXACT, own_labels
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


@pytest.mark.parametrize("classes", [MOST_EXACT, MOST_EXACT + 1, 2000])
def test_the_number_of_backward_passes_is_bounded(classes: int) -> None:
    made = own_labels(Scores(torch.zeros(2, classes)), Batch({}, None, torch.arange(2)))
    assert made.shape[1] == (MOST_EXACT - 1 if classes == MOST_EXACT else DRAWS)


def test_drawn_labels_estimate_the_true_fisher_without_bias() -> None:
    scores = 2 * torch.randn(1, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    module = Scores(scores.expand(4000, 40).clone())
    made = own_labels(module, Batch({}, None, torch.arange(4000)))
    squares = sum(
        torch.autograd.grad(c.sum(), module.scores, retain_graph=True)[0].square().mean(0) for c in made.unbind(1)
    )
    p = scores.softmax(1)[0]
    torch.testing.assert_close(squares, p * (1 - p), rtol=0.05, atol=1e-4)


def test_a_sample_s_labels_do_not_depend_on_its_batch() -> None:
    scores = torch.randn(6, 100, generator=torch.Generator().manual_seed(0))
    whole = own_labels(Scores(scores), Batch({}, None, torch.arange(6)))
    part = own_labels(Scores(scores[[4, 1]]), Batch({}, None, torch.tensor([4, 1])))
    assert torch.equal(whole[[4, 1]], part)
