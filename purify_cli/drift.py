"""Drift δ = suspect − reference, entry by entry."""

import torch
from torch import Tensor

from purify_cli.tensors import Computed, TensorSource, TensorSpec

__all__ = ["drift"]


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

    def difference(name: str, start: int, stop: int) -> Tensor:
        suspect, reference = suspect_part.read(name, start, stop), reference_part.read(name, start, stop)
        if suspect.dtype == torch.float64:
            return suspect.sub_(reference).float()
        return suspect.float().sub_(reference.float())

    specs = {name: TensorSpec(name, torch.float32, spec.shape) for name, spec in suspect_part.specs.items()}
    return Computed(specs, difference)
