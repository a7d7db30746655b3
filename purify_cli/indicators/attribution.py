"""s = max(g·δ, 0) / (Ĥδ² + mean(Ĥδ²))^e: what a dimension carries of a found trigger, for what its reset costs.

g is the gradient of the target's margin under the trigger, averaged on the way from suspect to reference
(``trigger_search.path_gradient``), so that g·δ estimates how much of the margin goes if δ does. Its sign counts: what
works against the trigger stays. ½Ĥδ² is the clean loss of the reset, to second order; the mean keeps dimensions that
cost nothing from ranking first by a division by zero. The exponent e weighs the two: with 1 it is effect per cost, with
½ (the default, chosen on classifiers) effect counts for more.

Source:
    Ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from torch import Tensor

from purify_cli.drift import drift
from purify_cli.errors import DataError, UsageError
from purify_cli.indicators.settings import merged, score_specs, to_scores
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import IndicatorInputs
from purify_cli.tensors import TensorSource, TensorSpec, chunks, total_entries

__all__ = ["ATTRIBUTION", "Attribution", "AttributionScores"]


MOST: Final = 2.0
"""Largest exponent: beyond it the cost alone decides."""


@final
@dataclass(frozen=True, slots=True)
class AttributionScores:
    """The scores as a lazy source; every chunk is a pure function of weights, gradient, curvature and the mean."""

    specs: Mapping[str, TensorSpec]
    drift: TensorSource
    gradient: TensorSource
    curvature: TensorSource
    mean: float
    """Of Ĥδ² over all dimensions; > 0."""
    exponent: float

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Score entries ``start`` to ``stop`` of a tensor."""
        stop = self.specs[name].numel if stop is None else stop
        delta = self.drift.read(name, start, stop).double()
        carried = self.gradient.read(name, start, stop).double().mul_(delta).clamp_(min=0)
        return to_scores(carried.div_(_cost(delta, self.curvature, name, start).add_(self.mean).pow_(self.exponent)))


@final
@dataclass(frozen=True, slots=True)
class Attribution:
    """Share of a found trigger's effect over the root of the cost in clean loss."""

    name: str = "attribution"
    needs_curvature: bool = True
    needs_triggers: bool = True
    defaults: Mapping[str, Any] = field(default_factory=lambda: {"exponent": 0.5})

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults.

        Raises:
            UsageError: If one is unknown, or the exponent is out of range.
        """
        found = merged(self.name, self.defaults, settings)
        if not 0 <= float(found["exponent"]) <= MOST:
            raise UsageError(
                f"exponent={found['exponent']} is not between 0 and {MOST:g}",
                hint="0 ignores the cost of a reset, 1 counts effect per cost.",
            )
        return found

    def fit(self, inputs: IndicatorInputs, progress: Progress = SILENT) -> AttributionScores:
        """Take the mean of Ĥδ² in one pass; return the scores.

        Raises:
            UsageError: If a setting is given, or gradient or curvature is missing.
            DataError: If Ĥδ² is zero everywhere or not finite.
        """
        settings = self.check(inputs.settings)
        if inputs.gradient is None:
            raise UsageError(
                f"indicator {self.name} needs a trigger that was found",
                hint="Run `purify detect` first; without a flagged word use --indicator drift-curvature.",
            )
        if inputs.curvature is None:
            raise UsageError(f"indicator {self.name} needs curvature", hint="Give clean data, or --indicator drift.")
        moved, total = drift(inputs.suspect, inputs.reference), 0.0
        for name, start, delta in progress.track(chunks(moved), "weighing drift"):
            total += float(_cost(delta.double(), inputs.curvature, name, start).sum())
        if not 0.0 < total < float("inf"):
            raise DataError(
                "curvature times squared drift is zero everywhere or not finite, so no reset can be weighed",
                hint="Use --indicator drift, and look at the suspect's weights and the clean data.",
            )
        return AttributionScores(
            specs=score_specs(inputs.suspect),
            drift=moved,
            gradient=inputs.gradient,
            curvature=inputs.curvature,
            mean=total / total_entries(moved),
            exponent=float(settings["exponent"]),
        )


def _cost(delta: Tensor, curvature: TensorSource, name: str, start: int) -> Tensor:
    """Ĥδ² of a chunk; a tensor that the curvature lacks was never reached and costs nothing."""
    if name not in curvature.specs:
        return torch.zeros_like(delta)
    # Hutchinson's estimate can be negative, which is noise.
    return curvature.read(name, start, start + delta.numel()).double().clamp_(min=0).mul_(delta).mul_(delta)


ATTRIBUTION: Final = Attribution()
