"""The outcome of a selection: one bit per comparable dimension, True = reset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from purify_cli.tensors import TensorSpec

__all__ = ["Mask"]


@final
@dataclass(frozen=True, slots=True)
class Mask:
    """A boolean tensor source over packed bits; d/8 bytes in memory."""

    ratio: float
    """Share that was asked for, in [0, 1]."""
    count: int
    """Bits that are set: ``count_for(ratio, dimensions)``."""
    bits: Mapping[str, Tensor]
    """Per tensor, shape (⌈n/8⌉,), uint8; bit j of byte i speaks for entry 8·i + j (row-major), the lowest bit
    first."""
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Names and shapes, as booleans."""
        return {name: TensorSpec(name, torch.bool, shape) for name, shape in self.shapes.items()}

    @property
    def dimensions(self) -> int:
        """Number of comparable dimensions d."""
        return sum(spec.numel for spec in self.specs.values())

    @property
    def per_tensor(self) -> dict[str, int]:
        """How many dimensions are selected in each tensor."""
        return {name: int(np.bitwise_count(packed.numpy()).sum(dtype=np.int64)) for name, packed in self.bits.items()}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Unpack entries ``start`` to ``stop`` of a tensor.

        Returns:
            Shape (stop − start,), bool.
        """
        stop = TensorSpec(name, torch.bool, self.shapes[name]).numel if stop is None else stop
        if stop <= start:
            return torch.empty(0, dtype=torch.bool)
        first = start // 8
        packed = self.bits[name].numpy()[first : (stop + 7) // 8]
        flat = np.unpackbits(packed, bitorder="little")[start - 8 * first : stop - 8 * first]
        return torch.from_numpy(flat).view(torch.bool)

    def any_in(self, name: str, start: int, stop: int) -> bool:
        """Say cheaply whether a run of entries may hold a selected one; False is certain."""
        return bool(self.bits[name].numpy()[start // 8 : (stop + 7) // 8].any())
