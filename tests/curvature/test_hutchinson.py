import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purify_cli.curvature import hutchinson_diagonal
from purify_cli.curvature.hutchinson import signs
from purify_cli.data.batches import Batch
from purify_cli.errors import CheckpointError, UsageError
from tests.curvature.worlds import assert_close, batches_of, model_of
from tests.reference.curvature import dense_hessian


class Small(nn.Module):
    """A classifier of 3 + 12 parameters on three-dimensional points."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.9, -1.2, 0.4]))
        self.head = nn.Linear(3, 3)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[0.5, -0.2, 0.1], [-0.7, 0.3, 0.9], [0.2, 0.8, -0.4]]))
            self.head.bias.copy_(torch.tensor([0.1, -0.3, 0.2]))

    def forward(self, points: Tensor) -> Tensor:
        return self.head((points * self.scale).tanh())


def points(*sizes: int) -> list[Batch]:
    made = torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(sum(sizes)) % 3
    return [Batch({"points": p}, y, y) for p, y in zip(made.split(sizes), labels.split(sizes), strict=True)]


def loss(module: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(module(**batch.inputs), batch.labels, reduction="none")


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors.values()])


def test_it_converges_to_the_dense_diagonal() -> None:
    model, batches = Small().eval(), points(6, 3)
    hessian = dense_hessian(model, lambda: torch.cat([loss(model, b) for b in batches]).mean())
    spread = (hessian.square().sum(1) - hessian.diagonal().square()).sqrt()
    for draws in (1, 16, 1024):
        found = hutchinson_diagonal(model, batches, draws=draws, seed=5, objective=loss)
        error = (flat(dict(found.tensors)) - hessian.diagonal()).abs()
        # Each off-diagonal entry comes with a product of two random signs: the standard error is spread / √draws.
        assert bool((error <= 4.5 * spread / draws**0.5 + 1e-6).all()), draws
    assert float(error.norm()) < 0.05 * float(hessian.diagonal().norm())
    assert found.samples == 9
    assert found.effective_samples == 9
    assert found.estimator == "hutchinson"


def test_it_is_exact_where_the_hessian_is_diagonal() -> None:
    class Separate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([0.3, -2.0, 1.1]))

    def quartic(module: nn.Module, batch: Batch) -> Tensor:
        return (batch.inputs["points"] * module.w**4).sum(1)

    model, batches = Separate().eval(), points(4, 2)
    found = hutchinson_diagonal(model, batches, draws=1, seed=0, objective=quartic)
    expected = 12 * model.w.detach() ** 2 * torch.cat([b.inputs["points"] for b in batches]).mean(0)
    torch.testing.assert_close(found.tensors["w"], expected, rtol=1e-5, atol=1e-6)
    assert found.clamped == pytest.approx(float((expected < 0).float().mean()))
    assert 0 < found.clamped < 1
    assert bool((found.nonnegative()["w"] == expected.clamp(min=0)).logical_or(expected > 0).all())
    assert float(found.nonnegative()["w"].min()) == 0


def test_batch_size_does_not_matter_and_the_seed_does() -> None:
    model = Small().eval()
    one, other, reseeded = (
        hutchinson_diagonal(model, points(*sizes), draws=3, seed=seed, objective=loss)
        for sizes, seed in (((6, 3), 1), ((1, 4, 4), 1), ((6, 3), 2))
    )
    assert_close(dict(one.tensors), dict(other.tensors))
    assert not torch.allclose(one.tensors["scale"], reseeded.tensors["scale"])


def test_signs_are_fair_and_depend_on_name_and_draw() -> None:
    shape = torch.empty(100, 100)
    made = [signs(name, shape, draw=draw, seed=0) for name in "ab" for draw in range(2)]
    for sign in made:
        assert set(sign.unique().tolist()) == {-1.0, 1.0}
        assert abs(float(sign.mean())) < 0.05
    for i, one in enumerate(made):
        for other in made[:i]:
            assert abs(float((one * other).mean())) < 0.05


@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_attention_has_a_second_derivative(architecture: str) -> None:
    model, batches = model_of(architecture), batches_of([5, 4])
    name = next(name for name, p in model.named_parameters() if name.endswith(("value.bias", "v_proj.weight")))
    weight = model.get_parameter(name)
    found = hutchinson_diagonal(model, batches, draws=2, seed=0, parameters=[name])
    assert set(found.tensors) == {name}
    model.set_attn_implementation("eager")
    scores = model.double()(**batches[0].inputs).logits
    mean = functional.cross_entropy(scores, batches[0].labels)
    (first,) = torch.autograd.grad(mean, weight, create_graph=True)
    expected = torch.zeros_like(weight)
    for draw in range(2):
        z = signs(name, weight, draw=draw, seed=0)
        expected += z * torch.autograd.grad(first, weight, z, retain_graph=True)[0] / 2
    assert_close(dict(found.tensors), {name: expected.float()}, tolerance=1e-3)


def test_the_module_is_left_as_it_was() -> None:
    model = Small().eval()
    model.scale.requires_grad_(False)
    found = hutchinson_diagonal(model, points(3), draws=1, seed=0, objective=loss)
    assert "scale" not in found.tensors
    assert not model.scale.requires_grad
    assert model.head.weight.requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_what_gives_no_estimate_is_refused() -> None:
    model = Small().eval()
    with pytest.raises(UsageError, match="0 draws"):
        hutchinson_diagonal(model, points(3), draws=0, seed=0, objective=loss)
    with pytest.raises(UsageError, match="no samples"):
        hutchinson_diagonal(model, [], draws=1, seed=0, objective=loss)
    with pytest.raises(UsageError, match="needs a label"):
        hutchinson_diagonal(model, [Batch({}, None, torch.arange(2))], draws=1, seed=0)
    with torch.no_grad():
        model.head.weight.mul_(float("inf"))
    with pytest.raises(CheckpointError, match="is not finite"):
        hutchinson_diagonal(model, points(3), draws=1, seed=0, objective=loss)
