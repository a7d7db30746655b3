"""Drift δ = suspect − reference, entry by entry."""

import torch
from torch import Tensor

from purify_cli.tensors import Combined, TensorSource, TensorSpec

__all__ = ["drift"]


def _difference(name: str, start: int, suspect: Tensor, reference: Tensor) -> Tensor:
    del name, start
    if suspect.dtype == torch.float64:
        return suspect.sub_(reference).float()
    return suspect.float().sub_(reference.float())


def drift(suspect_part: TensorSource, reference_part: TensorSource) -> TensorSource:
    """Return δ = w − w0 as a lazy float32 source.

    Args:
        suspect_part: Comparable tensors of the suspect, in its stored type.
        reference_part: The same names and shapes, values already cast to the suspect's stored type, so that an entry
            that training never touched has a drift of exactly 0 whatever the storage rounds away.

    Returns:
        The suspect's names and shapes. The difference of two values stored in 16 bits is exact up to one float32
        rounding; float64 is subtracted in float64.
    """
    specs = {name: TensorSpec(name, torch.float32, spec.shape) for name, spec in suspect_part.specs.items()}
    return Combined(_difference, (suspect_part, reference_part), specs)
