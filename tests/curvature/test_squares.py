import pytest
import torch
from torch import Tensor

from purify_cli.curvature import squares
from purify_cli.curvature.squares import Direct, Outer, Rows, Use, add_squares

SIZE, POSITIONS, HEIGHT, WIDTH = 3, 5, 37, 11


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outer(positions: int = POSITIONS, seed: int = 0) -> Outer:
    return Outer(randn(SIZE, positions, HEIGHT, seed=seed), randn(SIZE, positions, WIDTH, seed=seed + 1))


def rows(padding: int | None = None, seed: int = 0) -> Rows:
    ids = torch.randint(0, 6, (SIZE, POSITIONS), generator=torch.Generator().manual_seed(seed))
    return Rows(ids, randn(SIZE, POSITIONS, WIDTH, seed=seed), padding)


def dense(use: Use) -> Tensor:
    """All samples' gradients, by definition."""
    if isinstance(use, Outer):
        return torch.einsum("bpr,bpc->brc", use.left, use.right)
    if isinstance(use, Direct):
        return use.gradient
    found = torch.zeros(SIZE, HEIGHT, WIDTH, dtype=torch.float64)
    for sample in range(SIZE):
        for place, row in enumerate(use.ids[sample].tolist()):
            if row != use.padding:
                found[sample, row] += use.gradient[sample, place]
    return found


CASES: dict[str, list[Use]] = {
    "outer": [outer()],
    "outer, one position": [outer(1)],
    "outer twice": [outer(), outer(2, seed=5)],
    "rows": [rows()],
    "rows with padding": [rows(padding=2)],
    "rows twice": [rows(), rows(seed=1)],
    "rows with and without padding": [rows(), rows(padding=2, seed=1)],
    "rows and outer": [rows(padding=2), outer(), outer(seed=3)],
    "direct": [Direct(randn(SIZE, HEIGHT, WIDTH))],
    "direct twice": [Direct(randn(SIZE, HEIGHT, WIDTH)), Direct(randn(SIZE, HEIGHT, WIDTH, seed=1))],
    "everything": [rows(), outer(), Direct(randn(SIZE, HEIGHT, WIDTH))],
}


@pytest.mark.parametrize("uses", CASES.values(), ids=CASES)
@pytest.mark.parametrize("block", [1, 200, 1 << 20])
def test_uses_are_added_then_squared_then_summed_over_samples(
    uses: list[Use], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squares, "BLOCK", block)
    gradient = torch.stack([dense(use) for use in uses]).sum(0)
    total, norms = randn(HEIGHT, WIDTH, seed=8), randn(SIZE, seed=9)
    expected = total + gradient.square().sum(0), norms + gradient.square().sum((1, 2))
    add_squares(total, norms, uses)
    torch.testing.assert_close(total, expected[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norms, expected[1], rtol=1e-12, atol=1e-12)
