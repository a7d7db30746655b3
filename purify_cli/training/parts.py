"""One step's samples: how they are split, and the loss of each."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from purify_cli.data.batches import Batch
from purify_cli.model import logits

__all__ = ["row_losses", "split_step"]


def split_step(batch: Batch, size: int, *, process: int = 0, processes: int = 1) -> Iterator[tuple[Batch, Tensor]]:
    """Split a step's samples into one process's forward passes.

    Args:
        batch: All samples of the step.
        size: Most samples in a forward pass.
        process: Which process this is; it gets rows process, process + processes, …
        processes: How many there are.

    Yields:
        At least one piece, with each row's weight in the mean over the step, shape (rows of the piece,). A process
        without a row of its own gets the first one with weight 0, since all must take part in every step.
    """
    rows = len(batch.index)
    own = torch.arange(rows)[process::processes]
    weight = 1 / rows if len(own) else 0.0
    for piece in (own if len(own) else torch.zeros(1, dtype=torch.int64)).split(size):
        yield batch.take(piece), torch.full((len(piece),), weight)


def row_losses(module: nn.Module, batch: Batch, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return each row's cross-entropy in nats, shape (B,), float32, on the device.

    Args:
        module: Classifier on the device.
        batch: Labelled rows.
        device: Where to compute.
        dtype: ``torch.bfloat16`` runs the forward pass under autocast; the loss itself is always float32.
    """
    batch = batch.to(device)
    if batch.labels is None:
        raise ValueError("a loss needs labels")
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        scores = logits(module, batch)
    return cross_entropy(scores.float(), batch.labels, reduction="none")
