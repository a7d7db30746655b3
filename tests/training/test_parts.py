import pytest
import torch

from purify_cli.data.batches import batches
from purify_cli.training.parts import row_losses, split_step
from tests.training.helpers import mean_loss, rows, without_dropout


@pytest.mark.parametrize("count", [1, 2, 7, 8])
@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_every_sample_counts_once_whatever_the_split(count: int, processes: int, size: int) -> None:
    (batch,) = batches(rows(count), batch_size=count, pad_id=0)
    counted = torch.zeros(count)
    for process in range(processes):
        pieces = list(split_step(batch, size, process=process, processes=processes))
        assert pieces
        for piece, weights in pieces:
            assert len(piece.index) == len(weights) <= size
            counted.index_add_(0, piece.index, weights)
            for row, index in enumerate(piece.index.tolist()):
                place = batch.index.tolist().index(index)
                assert torch.equal(piece.inputs["input_ids"][row], batch.inputs["input_ids"][place])
    torch.testing.assert_close(counted, torch.full((count,), 1 / count))


def test_row_losses_equal_one_unpadded_row_at_a_time() -> None:
    model, encoded = without_dropout(), rows(9)
    (batch,) = batches(encoded, batch_size=9, pad_id=0)
    losses = row_losses(model, batch, device=torch.device("cpu"), dtype=torch.float32)
    for loss, index in zip(losses.tolist(), batch.index.tolist(), strict=True):
        assert loss == pytest.approx(mean_loss(model, [encoded[index]]), rel=1e-5)


def test_row_losses_are_float32_also_in_bfloat16() -> None:
    (batch,) = batches(rows(4), batch_size=4, pad_id=0)
    exact, low = (
        row_losses(without_dropout(), batch, device=torch.device("cpu"), dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert low.dtype is torch.float32
    assert not torch.equal(low, exact)
    torch.testing.assert_close(low, exact, rtol=0.02, atol=0.02)
