"""What replaces the chosen dimensions: the reference, or a blend by the posterior probability of being clean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.indicators.law import Mixture
from purify_cli.selection.mask import Mask
from purify_cli.tensors import Computed, InMemory, TensorSource, TensorSpec

__all__ = ["Overlay", "posterior_blend", "reset_to_reference"]

_BITS: Final = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integer type by size in bytes: a reset copies bit patterns, of whatever type."""

_PIECE: Final = 1 << 18
"""Entries of the reference held at a time: they and their mask stay in a second-level cache, however long a run is
read."""


def _first_copy(pair: CheckpointPair, name: str, start: int, stop: int) -> tuple[str, Tensor, int]:
    """Read entries ``start`` to ``stop`` of the suspect's tensor that a name is a copy of.

    Returns:
        Its name, the entries, and how many of them, from the first, have a counterpart in the reference.
    """
    source = pair.tied.get(name, name)
    common = max(0, min(stop, pair.comparables[source].entries) - start) if source in pair.comparables else 0
    return source, pair.suspect.read(source, start, stop), common


def reset_to_reference(pair: CheckpointPair, mask: Mask) -> TensorSource:
    """Set the chosen dimensions to the reference; keep all others bit for bit.

    Args:
        pair: Suspect and reference.
        mask: Over ``pair.suspect_part``.

    Returns:
        All tensors of the suspect, lazily, in its stored types. Second copies of tied tensors follow the first; tensors
        and rows without a counterpart are the suspect's.
    """
    specs, reference = pair.suspect.specs, pair.reference_part

    def read(name: str, start: int, stop: int) -> Tensor:
        source, values, common = _first_copy(pair, name, start, stop)
        bits = _BITS[values.dtype.itemsize]
        end = start + common
        for at in range(start, end, _PIECE):
            last = min(at + _PIECE, end)
            if mask.any_in(source, at, last):
                new = values[at - start : last - start].view(bits).numpy()
                old = reference.read(source, at, last).view(bits).numpy()
                # new ^ ((old ^ new) & mask): a masked copy stumbles over every change of the mask, and takes twice (32
                # bits) to eight times (16 bits) as long.
                old ^= new
                old &= np.negative(mask.read(source, at, last).view(torch.int8).numpy()).astype(old.dtype)
                new ^= old
        return values.to(specs[name].dtype)

    return Computed(specs, read)


def posterior_blend(pair: CheckpointPair, scores: TensorSource, fit: Mixture) -> TensorSource:
    """Scale every drift by the probability that it is clean: w = w0 + p(clean | r)·δ.

    Args:
        pair: Suspect and reference.
        scores: r, from drift-curvature, over ``pair.suspect_part``.
        fit: Both populations of r (``law.fit_mixture``).

    Returns:
        All tensors of the suspect, lazily, in its stored types. The ratio of the result is the mean of
        1 − p(clean | r) over all comparable dimensions.

    Source:
        arXiv:2305.04547 for the posterior; whether its authors blend or cut is not known to us.
    """
    specs, reference = pair.suspect.specs, pair.reference_part

    def read(name: str, start: int, stop: int) -> Tensor:
        source, values, common = _first_copy(pair, name, start, stop)
        if common:
            new = values[:common].double()
            old = reference.read(source, start, start + common).double()
            clean = fit.clean_probability(scores.read(source, start, start + common))
            # lerp is exact at both ends, so certainty keeps or restores an entry bit for bit.
            values[:common] = torch.lerp(old, new, clean).to(values.dtype)
        return values.to(specs[name].dtype)

    return Computed(specs, read)


@final
@dataclass(frozen=True, slots=True)
class Overlay:
    """A source in which some tensors are replaced.

    Args:
        base: Gives names, order, types and every tensor that is not replaced.
        overrides: Name → tensor of the same shape; cast to the base's type when read. Names that the base lacks are
            not written.
    """

    base: TensorSource
    overrides: Mapping[str, Tensor]

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """The base's."""
        return self.base.specs

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Read entries ``start`` to ``stop`` of a tensor."""
        if name not in self.overrides:
            return self.base.read(name, start, stop)
        return InMemory(self.overrides).read(name, start, stop).to("cpu", self.specs[name].dtype)
