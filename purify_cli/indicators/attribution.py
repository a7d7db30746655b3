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
from typing import Any, Final

from torch import Tensor

from purify_cli.drift import drift
from purify_cli.errors import DataError, UsageError
from purify_cli.indicators.scores import Scores, curvature_of, read_curvature, score_specs, to_scores
from purify_cli.progress import Progress
from purify_cli.protocols import Indicator, IndicatorInputs
from purify_cli.tensors import chunks, total_entries

__all__ = ["ATTRIBUTION"]


MOST: Final = 2.0
"""Largest exponent: beyond it the cost alone decides."""


def _check(settings: Mapping[str, Any]) -> None:
    if not 0 <= float(settings["exponent"]) <= MOST:
        raise UsageError(
            f"exponent={settings['exponent']} is not between 0 and {MOST:g}",
            hint="0 ignores the cost of a reset, 1 counts effect per cost.",
        )


def _score(inputs: IndicatorInputs, settings: Mapping[str, Any], progress: Progress) -> Scores:
    """Take the mean of Ĥδ² in one pass; return the scores."""
    if inputs.gradient is None:
        raise UsageError(
            "indicator attribution needs a trigger that was found",
            hint="Run `purify detect` first; without a flagged word use --indicator drift-curvature.",
        )
    gradient, curvature, exponent = inputs.gradient, curvature_of(inputs, "attribution"), float(settings["exponent"])

    def cost(name: str, start: int, delta: Tensor) -> Tensor:
        """Ĥδ² of a chunk."""
        return read_curvature(curvature, name, start, start + delta.numel()).mul_(delta).mul_(delta)

    moved, total = drift(inputs.suspect, inputs.reference), 0.0
    for name, start, delta in progress.track(chunks(moved), "weighing drift"):
        total += float(cost(name, start, delta.double()).sum())
    if not 0.0 < total < float("inf"):
        raise DataError(
            "curvature times squared drift is zero everywhere or not finite, so no reset can be weighed",
            hint="Use --indicator drift, and look at the suspect's weights and the clean data.",
        )
    mean = total / total_entries(moved)

    def chunk(name: str, start: int, stop: int) -> Tensor:
        delta = moved.read(name, start, stop).double()
        carried = gradient.read(name, start, stop).double().mul_(delta).clamp_(min=0)
        return to_scores(carried.div_(cost(name, start, delta).add_(mean).pow_(exponent)))

    return Scores(score_specs(inputs.suspect), chunk)


ATTRIBUTION: Final = Indicator(
    name="attribution",
    score=_score,
    needs_curvature=True,
    needs_triggers=True,
    defaults={"exponent": 0.5},
    check_values=_check,
)
"""Share of a found trigger's effect over the root of the cost in clean loss."""
