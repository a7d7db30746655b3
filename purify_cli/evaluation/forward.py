"""A model's answers."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn

from purify_cli.data.batches import Encoded, batches
from purify_cli.errors import NonFiniteWeights
from purify_cli.model import logits
from purify_cli.progress import SILENT, Progress

__all__ = ["predict"]


def predict(
    module: nn.Module,
    encoded: Sequence[Encoded],
    *,
    batch_size: int,
    pad_id: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    progress: Progress = SILENT,
) -> tuple[Int[Tensor, " n"], int]:
    """Classify rows, in evaluation mode; the module's mode is put back afterwards.

    Args:
        module: A classifier whose weights are on ``device``.
        encoded: At least one row.
        batch_size: Rows per forward pass.
        pad_id: Token id of the padding.
        device: Where to compute.
        dtype: bfloat16 computes under autocast; the answer is compared in float32 all the same.
        progress: Told of every batch.

    Returns:
        (predictions in the order of ``encoded``, on the CPU; number of classes).

    Raises:
        NonFiniteWeights: If the model's output is not a number: the largest of NaNs would look like an answer.
    """
    places = {row.index: place for place, row in enumerate(encoded)}
    predictions = torch.empty(len(encoded), dtype=torch.int64)
    classes = 0
    training = module.training
    module.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16),
        ):
            for batch in progress.track(batches(encoded, batch_size=batch_size, pad_id=pad_id), "classifying"):
                scores = logits(module, batch.to(device)).float()
                if not bool(torch.isfinite(scores).all()):
                    raise NonFiniteWeights(
                        "the model's output is not a number", hint="Its weights overflow; no sound model does that."
                    )
                classes = scores.shape[1]
                predictions[[places[i] for i in batch.index.tolist()]] = scores.argmax(dim=1).cpu()
    finally:
        module.train(training)
    return predictions, classes
