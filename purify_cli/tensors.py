"""The one glue type: tensors keyed by name, read piece by piece.

Suspect, reference, drift, curvature, score, mask and the purified model are all a ``TensorSource``. A source holds no
tensor; it knows how to produce any run of entries of any of its tensors. Combining sources gives a source, so the
whole way from two checkpoints to a purified one is a lazy expression that a writer finally pulls, chunk by chunk.

Chunks are flat (row-major) because everything here is elementwise; the few places that need rows or whole tensors ask
for them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final, Protocol, final, runtime_checkable

import torch
from torch import Tensor

__all__ = [
    "CHUNK",
    "Computed",
    "InMemory",
    "TensorSource",
    "TensorSpec",
    "chunks",
    "read_tensor",
    "total_entries",
]

CHUNK: Final = 1 << 20
"""Entries per chunk. 4 MiB of float32: small enough to stay in a second- or third-level cache between the few
elementwise steps that touch it, large enough that Python's overhead per chunk (about 50 µs) disappears."""


@final
@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What is known of a tensor without reading it."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """Number of entries (1 for a scalar)."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.numel * self.dtype.itemsize


@runtime_checkable
class TensorSource(Protocol):
    """Tensors by name, read lazily."""

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """What there is, in the order in which it is to be written."""
        ...

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Read entries ``start`` to ``stop`` (default: to the end) of a tensor.

        Returns:
            Shape (stop − start,), the dtype of the spec, on the CPU unless the source says otherwise. The caller may
            change it in place.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class InMemory:
    """A source over tensors that are held already."""

    tensors: Mapping[str, Tensor]

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Specs of the held tensors, in their order."""
        return {n: TensorSpec(n, t.dtype, tuple(t.shape)) for n, t in self.tensors.items()}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Copy entries out of a held tensor."""
        return self.tensors[name].detach().reshape(-1)[start:stop].clone()


@final
@dataclass(frozen=True, slots=True)
class Computed:
    """A source whose entries are computed as they are read.

    Args:
        specs: Names, dtypes and shapes of the result.
        compute: Gets a tensor's name and the entries ``start`` to ``stop`` that are asked for, all within the tensor.
    """

    specs: Mapping[str, TensorSpec]
    compute: Callable[[str, int, int], Tensor]

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Compute entries ``start`` to ``stop``."""
        numel = self.specs[name].numel
        return self.compute(name, start, numel if stop is None else min(stop, numel))


def chunks(source: TensorSource, *, size: int = CHUNK) -> Iterator[tuple[str, int, Tensor]]:
    """Yield (name, first entry, chunk) over all tensors of a source, in its order."""
    for name, spec in source.specs.items():
        for start in range(0, spec.numel, size):
            yield name, start, source.read(name, start, min(start + size, spec.numel))


def read_tensor(source: TensorSource, name: str) -> Tensor:
    """Read one whole tensor in its shape."""
    return source.read(name).reshape(source.specs[name].shape)


def total_entries(source: TensorSource) -> int:
    """Number of entries over all tensors."""
    return sum(spec.numel for spec in source.specs.values())
