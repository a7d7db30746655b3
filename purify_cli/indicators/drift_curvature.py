"""r = δ²/Ĥ^a: movement that the curvature on clean data does not explain.

Short tuning by stochastic gradients spreads a weight with a variance proportional to its curvature, so δ²/Ĥ is alike
for all weights that only clean data moved, and larger where poison added curvature that clean data does not show.

Entries without curvature have rules of their own (setting ``degenerate``):

``guard`` (default)
    score = δ² / (Ĥ + λ·mean)^a with the mean of Ĥ over the entry's tensor. A tensor without any curvature (an unused
    pooler) takes the mean of the tensors of its kind in other layers, or else that of all tensors. Score 0 for: what
    did not move; key biases without effect (``key_bias``); rows that moved by weight decay alone (``decay``).
``plain``
    the bare formula: an entry without curvature that moved ranks before all others, by |δ|; score 0 for what did not
    move.

Source:
    Zhang, Chen, Zhou, Meng, Zhou, Sun, "Diffusion Theory as a Scalpel", Findings of ACL 2023, arXiv:2305.04547.
    Exponent, damping λ and the guard rules are ours.
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

__all__ = ["DRIFT_CURVATURE", "DriftCurvature", "DriftCurvatureScores"]


@final
@dataclass(frozen=True, slots=True)
class DriftCurvatureScores:
    """The scores as a lazy source; every chunk is a pure function of weights, curvature and the survey."""

    specs: Mapping[str, TensorSpec]
    drift: TensorSource
    curvature: TensorSource
    survey: Degenerate
    guard: bool
    exponent: float
    damping: float

    @property
    def degenerate(self) -> dict[str, int]:
        """Dimensions per special rule, for the report."""
        return self.survey.counts

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Score entries ``start`` to ``stop`` of a tensor."""
        stop = self.specs[name].numel if stop is None else stop
        delta = self.drift.read(name, start, stop).double()
        if name in self.curvature.specs:
            curvature = self.curvature.read(name, start, stop).double().clamp_(min=0)
        else:
            curvature = torch.zeros_like(delta)
        return self._guarded(name, start, delta, curvature) if self.guard else self._plain(delta, curvature)

    def _guarded(self, name: str, start: int, delta: Tensor, curvature: Tensor) -> Tensor:
        curvature.add_(self.damping * self.survey.scales[name])
        return self.survey.silence(name, start, to_scores(delta.square_().div_(self._power(curvature))))

    def _plain(self, delta: Tensor, curvature: Tensor) -> Tensor:
        if self.exponent == 0.0:
            return to_scores(delta.square_())
        flat = curvature == 0
        moved = delta.abs()
        scores = to_scores(delta.square_().div_(self._power(curvature.masked_fill_(flat, 1.0))))
        return torch.where(flat & (moved > 0), to_scores(moved).neg_(), scores.masked_fill_(flat, 0.0))

    def _power(self, curvature: Tensor) -> Tensor:
        return curvature if self.exponent == 1.0 else curvature.pow_(self.exponent)


@final
@dataclass(frozen=True, slots=True)
class DriftCurvature:
    """Squared drift over curvature.

    Settings:
        exponent: a ≥ 0. 1 is the paper's form; 0 ranks by |δ|.
        degenerate: ``guard`` or ``plain``.
        damping: λ > 0, the share of a tensor's mean curvature that is added under ``guard``.
    """

    name: str = "drift-curvature"
    needs_curvature: bool = True
    needs_triggers: bool = False
    defaults: Mapping[str, Any] = field(
        default_factory=lambda: {"exponent": 1.0, "degenerate": "guard", "damping": 1.0}
    )

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults.

        Raises:
            UsageError: If a setting is unknown or out of range.
        """
        chosen = merged(self.name, self.defaults, settings)
        exponent = float(chosen["exponent"])
        check_guard(chosen)
        # Powers of the smallest float32 stay above 0 in float64 within this range.
        if not 0.0 <= exponent <= 4.0:
            raise UsageError(f"exponent={exponent} is not between 0 and 4", hint="1 is the published form.")
        return chosen

    def fit(self, inputs: IndicatorInputs, progress: Progress = SILENT) -> DriftCurvatureScores:
        """Survey curvature and degenerate dimensions in one pass; return the scores.

        Raises:
            UsageError: If a setting is unknown or out of range, or there is no curvature.
            DataError: If the curvature is not finite, or zero everywhere although ``guard`` needs its scale.
        """
        settings = self.check(inputs.settings)
        exponent, damping, rule = float(settings["exponent"]), float(settings["damping"]), settings["degenerate"]
        if inputs.curvature is None:
            raise UsageError(f"indicator {self.name} needs curvature", hint="Give clean data, or --indicator drift.")
        found = survey(inputs.suspect, inputs.reference, inputs.curvature, guard=rule == "guard", progress=progress)
        return DriftCurvatureScores(
            specs=score_specs(inputs.suspect),
            drift=drift(inputs.suspect, inputs.reference),
            curvature=inputs.curvature,
            survey=found,
            guard=rule == "guard",
            exponent=exponent,
            damping=damping,
        )


DRIFT_CURVATURE: Final = DriftCurvature()
