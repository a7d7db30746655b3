"""NaN, infinity and numbers out of all range among weights: found, and on request read as the reference's values."""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.errors import NonFiniteWeights
from purify_cli.progress import SILENT, Progress
from purify_cli.tensors import CHUNK, Computed, TensorSource

__all__ = ["OUT_OF_RANGE", "nonfinite_entries", "without_nonfinite"]

LARGEST: Final = 1e12
"""Beyond this a weight counts as infinite: its square, summed over a tensor, must stay within float32. Weights of sound
models are below 1e4, what masks are filled with below 1e10."""

OUT_OF_RANGE: Final = "NaN, infinity or numbers beyond 1e12"
"""What to call it."""


def nonfinite_entries(source: TensorSource, progress: Progress = SILENT) -> dict[str, int]:
    """Count the entries per tensor that are NaN, infinite or beyond ``LARGEST``.

    Returns:
        Name → count, only where there are any.
    """
    return {
        name: count
        for name, spec in progress.track(source.specs.items(), "looking for NaN", total=len(source.specs))
        if spec.dtype.is_floating_point and (count := _count(source, name, 0, spec.numel))
    }


def without_nonfinite(pair: CheckpointPair) -> CheckpointPair:
    """Return the pair with every NaN or infinite entry of the suspect read as the reference's entry.

    Nothing is copied; the replacement happens as chunks are read. Second copies of tied tensors are treated like the
    tensor they copy.

    Raises:
        NonFiniteWeights: If such an entry has no counterpart (a head, an added row), or the counterpart is no better.
    """
    for name, spec in pair.suspect.specs.items():
        one = pair.comparables.get(pair.tied.get(name, name))
        covered = one.entries if one else 0
        if spec.dtype.is_floating_point and _count(pair.suspect, name, covered, spec.numel):
            raise NonFiniteWeights(
                f"{name!r} holds {OUT_OF_RANGE} where the reference has no counterpart",
                hint="These weights cannot be repaired; train that part again or get another copy.",
            )
    if bad := nonfinite_entries(pair.reference_part):
        raise NonFiniteWeights(
            f"the reference holds {OUT_OF_RANGE} itself, in {next(iter(bad))!r}",
            hint="Get the reference again.",
        )
    reference = pair.reference_part

    def mended(name: str, start: int, stop: int) -> Tensor:
        chunk = pair.suspect.read(name, start, stop)
        twin = pair.tied.get(name, name)
        end = min(stop, pair.comparables[twin].entries) if twin in pair.comparables else 0
        if start < end and chunk.is_floating_point():
            common = chunk[: end - start]
            bad = ~_finite(common)
            if bad.any():
                common[bad] = reference.read(twin, start, end)[bad]
        return chunk

    return replace(pair, suspect=Computed(pair.suspect.specs, mended))


def _count(source: TensorSource, name: str, start: int, stop: int) -> int:
    starts = range(start, stop, CHUNK)
    return sum(int((~_finite(source.read(name, at, min(at + CHUNK, stop)))).sum()) for at in starts)


def _finite(chunk: Tensor) -> Tensor:
    # Floats of 8 and 16 bits lack the operation or cannot hold the bound; NaN is beyond any.
    return (chunk.float() if chunk.dtype.itemsize < torch.float32.itemsize else chunk).abs() <= LARGEST
