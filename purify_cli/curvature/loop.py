"""Per-sample gradients one sample at a time: slow, and right for any layer."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from purify_cli.curvature.objectives import Scalars, one_sample
from purify_cli.data.batches import Batch

__all__ = ["add_one_by_one", "columns"]


def columns(scalars: Tensor, size: int) -> Tensor:
    """Bring an objective's scalars into the shape (B, M).

    Raises:
        ValueError: If there is not one row per sample.
    """
    if scalars.dim() not in {1, 2} or len(scalars) != size:
        raise ValueError(f"an objective returned shape {tuple(scalars.shape)} for {size} samples")
    return scalars.reshape(size, -1)


def add_one_by_one(
    module: nn.Module,
    wanted: Mapping[str, nn.Parameter],
    objective: Scalars,
    batch: Batch,
    *,
    sums: Mapping[str, Tensor],
    norms: Tensor,
) -> None:
    """Add the squared gradients of a batch, with B forward and B·M backward passes of one sample.

    Args:
        module: Its parameters do not require gradients; the wanted ones are set to while this runs.
        wanted: Parameters by name.
        objective: What is to be differentiated.
        batch: Samples.
        sums: Receive the squares, by parameter.
        norms: (B,), receives each sample's squared gradient norm.
    """
    parameters = list(wanted.values())
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for place in range(len(batch.index)):
            scalars = columns(objective(module, one_sample(batch, place)), 1)[0]
            if not scalars.requires_grad:
                continue
            for number, scalar in enumerate(scalars):
                keep = number < len(scalars) - 1
                gradients = torch.autograd.grad(scalar, parameters, retain_graph=keep, allow_unused=True)
                for name, gradient in zip(wanted, gradients, strict=True):
                    if gradient is not None:
                        sums[name].addcmul_(gradient, gradient)
                        norms[place] += torch.linalg.vector_norm(gradient).square()
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)
