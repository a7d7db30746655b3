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
from purify_cli.tensors import InMemory, TensorSource, TensorSpec

__all__ = ["Overlay", "posterior_blend", "reset_to_reference"]

_BITS: Final = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integer type by size in bytes: a reset copies bit patterns, of whatever type."""

_PIECE: Final = 1 << 18
"""Entries of the reference held at a time: they and their mask stay in a second-level cache, however long a run is
read."""


def _canonical(pair: CheckpointPair, name: str) -> str:
    return pair.tied.get(name, name)


def _common(pair: CheckpointPair, name: str, start: int, stop: int) -> int:
    """How many of the entries ``start`` to ``stop`` have a counterpart in the reference."""
    return max(0, min(stop, pair.comparables[name].entries) - start) if name in pair.comparables else 0


@final
@dataclass(frozen=True, slots=True)
class _Reset:
    pair: CheckpointPair
    mask: Mask
    reference: TensorSource

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        return self.pair.suspect.specs

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        stop = self.specs[name].numel if stop is None else stop
        source = _canonical(self.pair, name)
        values = self.pair.suspect.read(source, start, stop)
        end = start + _common(self.pair, source, start, stop)
        bits = _BITS[values.dtype.itemsize]
        for at in range(start, end, _PIECE):
            last = min(at + _PIECE, end)
            if self.mask.any_in(source, at, last):
                new = values[at - start : last - start].view(bits).numpy()
                old = self.reference.read(source, at, last).view(bits).numpy()
                # new ^ ((old ^ new) & mask): a masked copy stumbles over every change of the mask, and takes twice (32
                # bits) to eight times (16 bits) as long.
                old ^= new
                old &= np.negative(self.mask.read(source, at, last).view(torch.int8).numpy()).astype(old.dtype)
                new ^= old
        return values.to(self.specs[name].dtype)


def reset_to_reference(pair: CheckpointPair, mask: Mask) -> TensorSource:
    """Set the chosen dimensions to the reference; keep all others bit for bit.

    Args:
        pair: Suspect and reference.
        mask: Over ``pair.suspect_part``.

    Returns:
        All tensors of the suspect, lazily, in its stored types. Second copies of tied tensors follow the first; tensors
        and rows without a counterpart are the suspect's.
    """
    return _Reset(pair, mask, pair.reference_part)


@final
@dataclass(frozen=True, slots=True)
class _Blend:
    pair: CheckpointPair
    reference: TensorSource
    scores: TensorSource
    fit: Mixture

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        return self.pair.suspect.specs

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        stop = self.specs[name].numel if stop is None else stop
        source = _canonical(self.pair, name)
        values = self.pair.suspect.read(source, start, stop)
        common = _common(self.pair, source, start, stop)
        if common:
            new = values[:common].double()
            old = self.reference.read(source, start, start + common).double()
            clean = self.fit.clean_probability(self.scores.read(source, start, start + common))
            # lerp is exact at both ends, so certainty keeps or restores an entry bit for bit.
            values[:common] = torch.lerp(old, new, clean).to(values.dtype)
        return values.to(self.specs[name].dtype)


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
    return _Blend(pair, pair.reference_part, scores, fit)


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
