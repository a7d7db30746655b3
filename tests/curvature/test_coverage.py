"""Layers that hooks must not be trusted with; everywhere the answer must still be that of the one-sample loop."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from purify_cli.curvature import mean_squared_gradients
from purify_cli.data.batches import Batch
from tests.curvature.worlds import assert_close
from tests.reference import curvature as oracle

WIDTH = 6


def linear() -> nn.Linear:
    return nn.Linear(WIDTH, WIDTH)


class Net(nn.Module):
    """An embedding, something in the middle, and a mean over positions."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.words = nn.Embedding(12, WIDTH)
        self.middle = middle

    def forward(self, ids: Tensor) -> Tensor:
        return self.middle(self.words(ids)).tanh().mean(1).square().sum(1)


class Scale(nn.Module):
    """A layer without a rule."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.rand(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Functional(nn.Module):
    """Reads its layer's weight past the layer, once besides calling it and once instead."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.never = linear(), linear()

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.both(x).tanh(), self.both.weight) + functional.linear(x, self.never.weight)


class SequenceFirst(nn.Module):
    """Works on (T, B, width), as some older models do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


class Flattened(nn.Module):
    """Works on (B·T, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.flatten(0, 1)).view_as(x)


class Routed(nn.Module):
    """Two experts; tokens go to the second where their first entry is positive, and their number varies."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList([linear(), linear()])

    def forward(self, x: Tensor) -> Tensor:
        second = x[..., 0] > 0.5
        out = torch.zeros_like(x)
        for number, chosen in enumerate((~second, second)):
            if chosen.any():
                out = out.masked_scatter(chosen.unsqueeze(-1), self.experts[number](x[chosen]))
        return out


class SometimesUsed(nn.Module):
    """Uses its layer only for samples with a large entry; the first sample has none."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()
        self.limit = 2.0

    def forward(self, x: Tensor) -> Tensor:
        large = (x > self.limit).flatten(1).any(1)
        return torch.where(large[:, None, None], self.inner(x), x) if bool(large.any()) else x


class OddRMSNorm(nn.Module):
    """Looks like an RMSNorm, and squares its weight, which cannot be told by the values at 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))
        self.eps = 1e-6

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight**2


class OnePlusRMSNorm(nn.Module):
    """The form with 1 + w."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) - 0.5)
        self.eps = 1e-3

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * (1 + self.weight)


class Conv1D(nn.Module):
    """Has the name and the shapes of GPT-2's layer, and another order of the weight's dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(WIDTH, WIDTH)), nn.Parameter(torch.randn(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


class OtherLinear(nn.Linear):
    """A subclass that does something else."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input) + self.weight.sum()


class ChangedInPlace(nn.Module):
    """Overwrites its layer's input afterwards, which plain autograd would refuse for the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        x = x + 1
        out = self.inner(x)
        x.mul_(2)
        return out


class Attention(nn.Module):
    """torch's own attention, whose projections are read past their modules."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


class Repeated(nn.Module):
    """One layer three times."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.inner(x).tanh()
        return x


class PartlyDead(nn.Module):
    """One layer twice, the second time for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        self.inner(out)
        return out


class Dead(nn.Module):
    """A layer whose output goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        return x


class SharedPositions(nn.Module):
    """Position ids of shape (1, T) for the whole batch, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Embedding(9, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.places(torch.arange(x.shape[1]).unsqueeze(0))


class BarePositions(nn.Module):
    """Position ids of shape (T,)."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Embedding(9, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.places(torch.arange(x.shape[1]))


class KeywordInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(input=x)


class Changing(nn.Module):
    """Changes its layer's output in place."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).mul_(2).add_(x)


def output(module: nn.Module, batch: Batch) -> Tensor:
    return module(batch.inputs["input_ids"])


def batches(positions: int = 4) -> list[Batch]:
    generator = torch.Generator().manual_seed(3)
    # The second batch has as many rows as positions: layouts cannot be told apart by size there.
    groups = [torch.randint(0, 12, (rows, positions), generator=generator) for rows in (3, positions, 1)]
    return [Batch({"input_ids": ids}, None, torch.arange(len(ids))) for ids in groups]


def tied_pair() -> nn.Module:
    first, second = linear(), linear()
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second)


FAST: dict[str, Callable[[], nn.Module]] = {
    "linear": linear,
    "linear without bias": lambda: nn.Linear(WIDTH, WIDTH, bias=False),
    "layer norm": lambda: nn.LayerNorm(WIDTH),
    "layer norm without bias": lambda: nn.LayerNorm(WIDTH, bias=False),
    "layer norm over two dimensions": lambda: nn.LayerNorm((4, WIDTH)),
    "torch's rms norm": lambda: nn.RMSNorm(WIDTH),
    "rms norm of 1 + w": OnePlusRMSNorm,
    "repeated": Repeated,
    "dead": Dead,
    "shared positions": SharedPositions,
    "keyword input": KeywordInput,
    "output changed in place": Changing,
    "tied pair": tied_pair,
}
SLOW: dict[str, Callable[[], nn.Module]] = {
    "no rule": Scale,
    "used past the layer": Functional,
    "sequence first": SequenceFirst,
    "flattened": Flattened,
    "routed": Routed,
    "sometimes used": SometimesUsed,
    "odd rms norm": OddRMSNorm,
    "partly dead": PartlyDead,
    "another Conv1D": Conv1D,
    "another Linear": lambda: OtherLinear(WIDTH, WIDTH),
    "torch's attention": Attention,
    "bare positions": BarePositions,
}


def net(make: Callable[[], nn.Module]) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Net(make()).eval()


@pytest.mark.parametrize("make", FAST.values(), ids=FAST)
def test_known_layers_take_the_fast_path(make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    model = net(make)
    expected, effective = oracle.mean_squares(model, batches(), output)
    monkeypatch.setattr("purify_cli.curvature.fisher.add_one_by_one", lambda *_, **__: pytest.fail("fell back"))
    found = mean_squared_gradients(model, batches(), output, estimator="x")
    assert_close(dict(found.tensors), expected)
    assert found.effective_samples == pytest.approx(effective, rel=1e-4)


@pytest.mark.parametrize("make", SLOW.values(), ids=SLOW)
def test_other_parameters_fall_back_to_the_loop(make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    model = net(make)
    expected, effective = oracle.mean_squares(model, batches(), output)
    fallen: set[str] = set()
    found = mean_squared_gradients(model, batches(), output, estimator="x")
    assert_close(dict(found.tensors), expected)
    assert found.effective_samples == pytest.approx(effective, rel=1e-4)

    def record(_: object, wanted: dict[str, nn.Parameter], *__: object, **___: object) -> None:
        fallen.update(wanted)

    monkeypatch.setattr("purify_cli.curvature.fisher.add_one_by_one", record)
    mean_squared_gradients(model, batches(), output, estimator="x")
    assert fallen
    assert "words.weight" not in fallen


def test_the_layer_that_is_sometimes_used_sleeps_through_the_first_sample() -> None:
    model = net(SometimesUsed)
    large = [bool((model.words(b.inputs["input_ids"]) > model.middle.limit).any()) for b in oracle.single(batches())]
    assert not large[0]
    assert any(large)


def test_an_input_changed_in_place_is_noticed() -> None:
    model = net(ChangedInPlace)
    chosen = ["middle.inner.bias", "words.weight"]  # the loop cannot do the weight either: autograd refuses
    expected, _ = oracle.mean_squares(net(linear_after_shift), batches(), output)
    found = mean_squared_gradients(model, batches(), output, estimator="x", parameters=chosen)
    assert_close(
        dict(found.tensors), {"middle.inner.bias": expected["middle.1.bias"], "words.weight": expected["words.weight"]}
    )
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        mean_squared_gradients(model, batches(), output, estimator="x")


class Shift(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def linear_after_shift() -> nn.Module:
    return nn.Sequential(Shift(), linear())


def test_two_dimensional_inputs_factorise() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = linear()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x[:, 0]).unsqueeze(1)

    model = net(Pooled)
    expected, _ = oracle.mean_squares(model, batches(), output)
    assert_close(dict(mean_squared_gradients(model, batches(), output, estimator="x").tensors), expected)


def test_several_columns_are_squared_apart() -> None:
    model = net(Repeated)

    def columns(module: nn.Module, batch: Batch) -> Tensor:
        score = output(module, batch)
        return torch.stack([score, 3 * score.sin()], dim=1)

    halves = [oracle.mean_squares(model, batches(), lambda m, b, i=i: columns(m, b)[:, i])[0] for i in range(2)]
    expected = {name: halves[0][name] + halves[1][name] for name in halves[0]}
    for engine in ("hooks", "loop"):
        found = mean_squared_gradients(model, batches(), columns, estimator="x", engine=engine)
        assert_close(dict(found.tensors), expected)
