"""Suspect and reference side by side: which entries can be compared, which cannot, and why.

``pair_checkpoints`` decides (in ``pair``); the classes here say what was decided and give the two aligned sources
that everything downstream reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, final

import torch
from torch import Tensor

from purify_cli.tensors import CHUNK, Computed, TensorSource, TensorSpec

__all__ = ["CheckpointPair", "Comparable", "Kind", "Side", "Skipped", "same_entries"]


Side = Literal["suspect", "reference"]
Kind = Literal["head", "buffer", "tied", "extra", "missing", "shape", "rows"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Comparable:
    """A tensor that both sides hold."""

    reference_name: str
    shape: tuple[int, ...]
    """The common part: the suspect's shape, or its first rows where the number of rows differs."""

    @property
    def entries(self) -> int:
        """Number of entries in the common part."""
        return prod(self.shape)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A tensor, or rows of one, that is not compared."""

    name: str
    side: Side
    kind: Kind
    reason: str
    """A phrase for the report."""
    explained: bool
    """Whether it is normal that this one has no counterpart. An unexplained one makes a verdict incomplete."""
    entries: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointPair:
    """Two checkpoints of one architecture and what can be compared."""

    suspect: TensorSource
    """All of it."""
    reference: TensorSource
    """All of it, under its own names and types."""
    comparables: Mapping[str, Comparable]
    """By the suspect's name, in the suspect's order."""
    skipped: tuple[Skipped, ...]
    tied: Mapping[str, str]
    """Second names of tensors of the suspect that are stored twice → name under which they are compared. Whatever is
    written to one must be written to the other."""

    @property
    def dimensions(self) -> int:
        """Number of comparable entries, d."""
        return sum(one.entries for one in self.comparables.values())

    @property
    def suspect_part(self) -> TensorSource:
        """The comparable entries of the suspect, in its stored types."""
        return Computed(self._specs(), self.suspect.read)

    @property
    def reference_part(self) -> TensorSource:
        """The same names and shapes from the reference, cast to the suspect's stored types.

        Casting first makes the drift of an untouched entry exactly 0 although the two are stored in different
        precisions.
        """
        specs = self._specs()

        def read(name: str, start: int, stop: int) -> Tensor:
            return self.reference.read(self.comparables[name].reference_name, start, stop).to(specs[name].dtype)

        return Computed(specs, read)

    def _specs(self) -> Mapping[str, TensorSpec]:
        # Common rows come first in row-major order, so that entry numbers agree on both sides.
        stored = self.suspect.specs
        return {name: TensorSpec(name, stored[name].dtype, one.shape) for name, one in self.comparables.items()}


def same_entries(left: TensorSource, name: str, right: TensorSource, other: str) -> bool:
    """Tell whether two tensors of one shape hold the same numbers, reading both piece by piece.

    Bits decide, except that types may differ; NaN equals NaN of the same type.
    """
    numel = left.specs[name].numel
    for start in range(0, numel, CHUNK):
        stop = min(start + CHUNK, numel)
        a, b = left.read(name, start, stop), right.read(other, start, stop)
        if a.dtype == b.dtype:
            a, b = a.view(torch.uint8), b.view(torch.uint8)
        if not torch.equal(a, b):
            return False
    return True
