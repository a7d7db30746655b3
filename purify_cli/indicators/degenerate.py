"""One pass over curvature and weights that finds what δ²/Ĥ must not be taken of."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import final

import torch
from torch import Tensor

from purify_cli.errors import DataError
from purify_cli.indicators.decay import DecayedRows, RowWatch, row_length
from purify_cli.indicators.key_bias import Runs, silent_key_biases
from purify_cli.progress import SILENT, Progress
from purify_cli.tensors import CHUNK, TensorSource, TensorSpec

__all__ = ["Degenerate", "survey"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Degenerate:
    """Dimensions with little or no curvature for reasons that say nothing about poison."""

    scales: Mapping[str, float]
    """Tensor name → mean of Ĥ, or what stands in for it where the tensor has none; > 0 under ``guard``."""
    key_biases: Mapping[str, Runs]
    decayed: DecayedRows
    flat_moved: int
    """Entries with curvature 0 that moved (among them those of ``decayed``)."""
    flat_unmoved: int
    negative: int
    """Entries whose curvature estimate is below 0 (Hutchinson) and counts as 0."""
    unreached: tuple[str, ...]
    """Tensors without any curvature."""
    dimensions: int

    @property
    def counts(self) -> dict[str, int]:
        """Entries per class, by the name of the class."""
        return {
            "moved, no curvature": self.flat_moved,
            "unmoved, no curvature": self.flat_unmoved,
            "key bias without effect": sum(last - first for runs in self.key_biases.values() for first, last in runs),
            "weight decay alone": self.decayed.entries,
            "negative curvature": self.negative,
        }

    def silence(self, name: str, start: int, scores: Tensor) -> Tensor:
        """Set the scores of a chunk (shape (n,)) to 0 at key biases without effect and in decayed rows, in place."""
        for first, last in self.key_biases.get(name, ()):
            scores[max(first - start, 0) : max(last - start, 0)] = 0.0
        return self.decayed.silence(name, start, scores)


@final
@dataclass(slots=True)
class _Sums:
    total: float = 0.0
    flat_moved: int = 0
    flat_unmoved: int = 0
    negative: int = 0


def survey(
    suspect: TensorSource,
    reference: TensorSource,
    curvature: TensorSource,
    *,
    guard: bool = True,
    progress: Progress = SILENT,
) -> Degenerate:
    """Read the curvature once, and weights only where some of it is zero.

    Args:
        suspect: Comparable dimensions, stored type.
        reference: The same, cast to that type.
        curvature: Ĥ, float32. A tensor that it lacks counts as never reached; one with more rows is read in its first.
        guard: Whether a scale is needed for every tensor.
        progress: Told about tensors.

    Raises:
        DataError: If a curvature is NaN or infinite; or under ``guard``, if all of it is zero.
    """
    watch = RowWatch()
    sums = {name: _Sums() for name in suspect.specs}
    names = progress.track(suspect.specs, "surveying curvature", total=len(suspect.specs))
    for name in names:
        _survey_tensor(suspect.specs[name], (suspect, reference, curvature), sums[name], watch)
    scales = _scales({name: (one.total, suspect.specs[name].numel) for name, one in sums.items()})
    if guard and not any(one.total > 0 for one in sums.values()):
        raise DataError(
            "the curvature is zero everywhere, so no movement can be judged by it",
            hint="Give clean data whose labels the model can still be wrong about, or use --indicator drift.",
        )
    eps = {name: torch.finfo(spec.dtype).eps for name, spec in suspect.specs.items()}
    return Degenerate(
        scales=scales,
        key_biases=silent_key_biases(suspect.specs, curvature),
        decayed=watch.decide(eps),
        flat_moved=sum(one.flat_moved for one in sums.values()),
        flat_unmoved=sum(one.flat_unmoved for one in sums.values()),
        negative=sum(one.negative for one in sums.values()),
        unreached=tuple(name for name, one in sums.items() if one.total == 0.0 and suspect.specs[name].numel),
        dimensions=sum(spec.numel for spec in suspect.specs.values()),
    )


def _survey_tensor(
    spec: TensorSpec,
    sources: tuple[TensorSource, TensorSource, TensorSource],
    sums: _Sums,
    watch: RowWatch,
) -> None:
    suspect, reference, curvature = sources
    length = row_length(spec)
    if not spec.numel:
        return
    rows = max(1, CHUNK // max(1, length))
    # Whole rows at a time, so that no row is judged by a part of it; a row longer than a chunk is read whole.
    for start in range(0, spec.numel, rows * length):
        stop = min(start + rows * length, spec.numel)
        known = spec.name in curvature.specs
        found = curvature.read(spec.name, start, stop) if known else torch.zeros(stop - start)
        total = float(found.clamp(min=0).sum(dtype=torch.float64))
        lowest = float(found.min())
        if not (isfinite(total) and isfinite(lowest)):
            raise DataError(
                f"the curvature of {spec.name} holds NaN or infinity",
                hint="A loss that overflows does this; look at the suspect's weights and the clean data.",
            )
        sums.total += total
        if lowest < 0:
            sums.negative += int((found < 0).sum())
        if lowest <= 0:
            flat = found <= 0
            new, old = suspect.read(spec.name, start, stop), reference.read(spec.name, start, stop)
            moved = flat & (new != old)
            sums.flat_moved += int(moved.sum())
            sums.flat_unmoved += int(flat.sum()) - int(moved.sum())
            by_row: Tensor = (found == 0).view(-1, length).all(1)
            watch.update(spec, start // length, new.view(-1, length), old.view(-1, length), by_row)


def _kind(name: str) -> str:
    """Name of a tensor with its layer numbers taken out: what tensors of one kind share."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _scales(sums: Mapping[str, tuple[float, int]]) -> dict[str, float]:
    """Mean curvature per tensor; where it is zero, that of its kind, else that of all reached tensors."""
    kinds: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    overall = [0.0, 0]
    for name, (total, numel) in sums.items():
        if total > 0:
            for pool in (kinds[_kind(name)], overall):
                pool[0] += total
                pool[1] += numel
    scales: dict[str, float] = {}
    for name, (total, numel) in sums.items():
        pool = kinds[_kind(name)] if kinds[_kind(name)][1] else overall
        scales[name] = total / numel if total > 0 else pool[0] / max(pool[1], 1)
    return scales
