"""One pass over curvature and weights that finds what δ²/Ĥ must not be taken of."""

import re
from collections import Counter, defaultdict
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
    counts: Mapping[str, int]
    """Entries per class, by the name of the class; those of weight decay are among the moved ones, and a negative
    curvature (Hutchinson) counts as 0."""

    def silence(self, name: str, start: int, scores: Tensor) -> Tensor:
        """Set the scores of a chunk (shape (n,)) to 0 at key biases without effect and in decayed rows, in place."""
        for first, last in self.key_biases.get(name, ()):
            scores[max(first - start, 0) : max(last - start, 0)] = 0.0
        return self.decayed.silence(name, start, scores)


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
    watch, counts = RowWatch(), Counter[str]()
    totals: dict[str, float] = {}
    for name in progress.track(suspect.specs, "surveying curvature", total=len(suspect.specs)):
        totals[name] = _survey_tensor(suspect.specs[name], (suspect, reference, curvature), counts, watch)
    scales = _scales(totals, suspect.specs)
    if guard and not any(total > 0 for total in totals.values()):
        raise DataError(
            "the curvature is zero everywhere, so no movement can be judged by it",
            hint="Give clean data whose labels the model can still be wrong about, or use --indicator drift.",
        )
    key_biases, decayed = silent_key_biases(suspect.specs, curvature), watch.decide()
    return Degenerate(
        scales=scales,
        key_biases=key_biases,
        decayed=decayed,
        counts={
            "moved, no curvature": counts["moved"],
            "unmoved, no curvature": counts["unmoved"],
            "key bias without effect": sum(last - first for runs in key_biases.values() for first, last in runs),
            "weight decay alone": decayed.entries,
            "negative curvature": counts["negative"],
        },
    )


def _survey_tensor(
    spec: TensorSpec, sources: tuple[TensorSource, TensorSource, TensorSource], counts: Counter[str], watch: RowWatch
) -> float:
    """Count the entries without curvature of one tensor; return the sum of its curvature."""
    suspect, reference, curvature = sources
    length, total = row_length(spec), 0.0
    if not spec.numel:
        return total
    rows = max(1, CHUNK // max(1, length))
    # Whole rows at a time, so that no row is judged by a part of it; a row longer than a chunk is read whole.
    for start in range(0, spec.numel, rows * length):
        stop = min(start + rows * length, spec.numel)
        known = spec.name in curvature.specs
        found = curvature.read(spec.name, start, stop) if known else torch.zeros(stop - start)
        part = float(found.clamp(min=0).sum(dtype=torch.float64))
        lowest = float(found.min())
        if not (isfinite(part) and isfinite(lowest)):
            raise DataError(
                f"the curvature of {spec.name} holds NaN or infinity",
                hint="A loss that overflows does this; look at the suspect's weights and the clean data.",
            )
        total += part
        if lowest < 0:
            counts["negative"] += int((found < 0).sum())
        if lowest <= 0:
            flat = found <= 0
            new, old = suspect.read(spec.name, start, stop), reference.read(spec.name, start, stop)
            moved = int((flat & (new != old)).sum())
            counts["moved"] += moved
            counts["unmoved"] += int(flat.sum()) - moved
            unseen: Tensor = (found == 0).view(-1, length).all(1)
            watch.update(spec, start // length, new.view(-1, length), old.view(-1, length), unseen)
    return total


def _kind(name: str) -> str:
    """Name of a tensor with its layer numbers taken out: what tensors of one kind share."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _scales(totals: Mapping[str, float], specs: Mapping[str, TensorSpec]) -> dict[str, float]:
    """Mean curvature per tensor; where it is zero, that of its kind, else that of all reached tensors."""
    kinds: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    overall = [0.0, 0]
    for name, total in totals.items():
        if total > 0:
            for pool in (kinds[_kind(name)], overall):
                pool[0] += total
                pool[1] += specs[name].numel
    scales: dict[str, float] = {}
    for name, total in totals.items():
        pool = kinds[_kind(name)] if kinds[_kind(name)][1] else overall
        scales[name] = total / specs[name].numel if total > 0 else pool[0] / max(pool[1], 1)
    return scales
