"""1/Ĥ: rank by how little clean data holds a dimension in place, however far it moved.

What δ²/Ĥ becomes where an optimiser such as Adam has divided the curvature out of the drift. It never looks at sizes
of movement, only, in the rules for entries without curvature, at whether something moved at all.

``guard`` (default)
    score = 1 / (Ĥ + λ·mean) with the mean of Ĥ over the entry's tensor, as in ``drift_curvature``. Score 0 for: entries
    without curvature that did not move (a reset would change nothing); key biases without effect; rows that moved by
    weight decay alone.
``plain``
    the bare formula: entries without curvature rank before all others, those that moved further first.

Source:
    One of the scores that r = δ²/Ĥ has to beat (arXiv:2305.04547 compares indicators; which ones is not known to us).
    The guard rules are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from torch import Tensor

from purify_cli.drift import drift
from purify_cli.errors import UsageError
from purify_cli.indicators.degenerate import Degenerate, survey
from purify_cli.indicators.settings import check_guard, merged, score_specs, to_scores
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import IndicatorInputs
from purify_cli.tensors import TensorSource, TensorSpec

__all__ = ["INVERSE_CURVATURE", "InverseCurvature", "InverseCurvatureScores"]

_UNMOVED: Final = torch.finfo(torch.float32).tiny
"""Under ``plain``, the magnitude of the mark of an entry without curvature that did not move: the last of its class,
and no zero, whose sign is easily lost."""


@final
@dataclass(frozen=True, slots=True)
class InverseCurvatureScores:
    """The scores as a lazy source; every chunk is a pure function of weights, curvature and the survey."""

    specs: Mapping[str, TensorSpec]
    drift: TensorSource
    curvature: TensorSource
    survey: Degenerate
    guard: bool
    damping: float

    @property
    def degenerate(self) -> dict[str, int]:
        """Dimensions per special rule, for the report."""
        return self.survey.counts

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Score entries ``start`` to ``stop`` of a tensor."""
        stop = self.specs[name].numel if stop is None else stop
        if name in self.curvature.specs:
            curvature = self.curvature.read(name, start, stop).double().clamp_(min=0)
        else:
            curvature = torch.zeros(stop - start, dtype=torch.float64)
        flat = curvature == 0
        # Weights are read only where there is something to decide by them.
        moved = self.drift.read(name, start, stop).abs_() if bool(flat.any()) else torch.zeros(stop - start)
        if self.guard:
            scores = to_scores(curvature.add_(self.damping * self.survey.scales[name]).reciprocal_())
            return self.survey.silence(name, start, scores.masked_fill_(flat & (moved == 0), 0.0))
        scores = to_scores(curvature.masked_fill_(flat, 1.0).reciprocal_())
        return torch.where(flat, to_scores(moved.clamp_(min=_UNMOVED)).neg_(), scores)


@final
@dataclass(frozen=True, slots=True)
class InverseCurvature:
    """One over the curvature.

    Settings:
        degenerate: ``guard`` or ``plain``.
        damping: λ > 0, the share of a tensor's mean curvature that is added under ``guard``.
    """

    name: str = "inverse-curvature"
    needs_curvature: bool = True
    needs_triggers: bool = False
    defaults: Mapping[str, Any] = field(default_factory=lambda: {"degenerate": "guard", "damping": 1.0})

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults.

        Raises:
            UsageError: If a setting is unknown or out of range.
        """
        chosen = merged(self.name, self.defaults, settings)
        check_guard(chosen)
        return chosen

    def fit(self, inputs: IndicatorInputs, progress: Progress = SILENT) -> InverseCurvatureScores:
        """Survey curvature and degenerate dimensions in one pass; return the scores.

        Raises:
            UsageError: If a setting is unknown or out of range, or there is no curvature.
            DataError: If the curvature is not finite, or zero everywhere although ``guard`` needs its scale.
        """
        settings = self.check(inputs.settings)
        if inputs.curvature is None:
            raise UsageError(f"indicator {self.name} needs curvature", hint="Give clean data, or --indicator drift.")
        guard = settings["degenerate"] == "guard"
        return InverseCurvatureScores(
            specs=score_specs(inputs.suspect),
            drift=drift(inputs.suspect, inputs.reference),
            curvature=inputs.curvature,
            survey=survey(inputs.suspect, inputs.reference, inputs.curvature, guard=guard, progress=progress),
            guard=guard,
            damping=float(settings["damping"]),
        )


INVERSE_CURVATURE: Final = InverseCurvature()
