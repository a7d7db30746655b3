"""A model's answers."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from purify_cli.data.batches import Encoded, batches
from purify_cli.errors import NonFiniteWeights
from purify_cli.model import logits
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute

__all__ = ["predict", "scores"]


def scores(
    module: nn.Module,
    encoded: Sequence[Encoded],
    compute: Compute,
    *,
    pad_id: int,
    progress: Progress = SILENT,
) -> Float[Tensor, "n classes"]:
    """Return the logits of rows, in evaluation mode; the module's mode is put back afterwards.

    Args:
        module: A classifier whose weights are on the device.
        encoded: At least one row.
        compute: Device, rows per forward pass, and type: bfloat16 computes under autocast, the answer is float32.
        pad_id: Token id of the padding.
        progress: Told of every batch.

    Returns:
        float32, in the order of ``encoded``, on the CPU.

    Raises:
        NonFiniteWeights: If the model's output is not a number: the largest of NaNs would look like an answer.
    """
    places = {row.index: place for place, row in enumerate(encoded)}
    found = torch.empty(0)
    training = module.training
    module.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(compute.device.type, dtype=torch.bfloat16, enabled=compute.dtype is torch.bfloat16),
        ):
            for batch in progress.track(batches(encoded, batch_size=compute.batch_size, pad_id=pad_id), "classifying"):
                answer = logits(module, batch.to(compute.device)).float()
                if not bool(torch.isfinite(answer).all()):
                    raise NonFiniteWeights(
                        "the model's output is not a number", hint="Its weights overflow; no sound model does that."
                    )
                if not found.numel():
                    found = torch.empty(len(encoded), answer.shape[1])
                found[[places[i] for i in batch.index.tolist()]] = answer.cpu()
    finally:
        module.train(training)
    return found.clone()  # out of inference mode, so that it is a tensor like any other


def predict(
    module: nn.Module,
    encoded: Sequence[Encoded],
    compute: Compute,
    *,
    pad_id: int,
    progress: Progress = SILENT,
) -> tuple[Int[Tensor, " n"], int]:
    """Classify rows; arguments and errors as for ``scores``.

    Returns:
        (predictions in the order of ``encoded``, on the CPU; number of classes).
    """
    found = scores(module, encoded, compute, pad_id=pad_id, progress=progress)
    return found.argmax(dim=1), found.shape[1]
