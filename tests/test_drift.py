import pytest
import torch

from purify_cli.drift import drift
from purify_cli.tensors import InMemory
from tests.reference.sources import generator


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_drift_is_the_difference_in_float32(dtype):
    old = torch.randn(30, 7, generator=generator(0)).to(dtype)
    new = (old.double() + 0.01 * torch.randn(30, 7, generator=generator(1))).to(dtype)
    moves = drift(InMemory({"a": new}), InMemory({"a": old}))
    assert moves.specs["a"].dtype == torch.float32
    assert moves.specs["a"].shape == (30, 7)
    torch.testing.assert_close(moves.read("a"), (new.double() - old.double()).float().flatten(), rtol=1e-6, atol=0)


def test_untouched_entries_have_no_drift_and_inputs_stay():
    old = torch.randn(50, generator=generator(2))
    new = old.clone()
    new[7] += 0.5
    moves = drift(InMemory({"a": new}), InMemory({"a": old}))
    assert torch.count_nonzero(moves.read("a")) == 1
    assert torch.equal(moves.read("a", 5, 9), moves.read("a")[5:9])
    assert float(new[7] - old[7]) == float(moves.read("a", 7, 8))
