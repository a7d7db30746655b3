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
from typing import Any, Final

import torch
from torch import Tensor

from purify_cli.drift import drift
from purify_cli.errors import UsageError
from purify_cli.indicators.degenerate import survey
from purify_cli.indicators.scores import Scores, check_guard, curvature_of, read_curvature, score_specs, to_scores
from purify_cli.progress import Progress
from purify_cli.protocols import Indicator, IndicatorInputs

__all__ = ["DRIFT_CURVATURE"]


def _check(settings: Mapping[str, Any]) -> None:
    check_guard(settings)
    exponent = float(settings["exponent"])
    # Powers of the smallest float32 stay above 0 in float64 within this range.
    if not 0.0 <= exponent <= 4.0:
        raise UsageError(f"exponent={exponent} is not between 0 and 4", hint="1 is the published form.")


def _score(inputs: IndicatorInputs, settings: Mapping[str, Any], progress: Progress) -> Scores:
    """Survey curvature and degenerate dimensions in one pass; return the scores."""
    exponent, damping, guard = (
        float(settings["exponent"]),
        float(settings["damping"]),
        settings["degenerate"] == "guard",
    )
    curvature = curvature_of(inputs, "drift-curvature")
    found = survey(inputs.suspect, inputs.reference, curvature, guard=guard, progress=progress)
    moves = drift(inputs.suspect, inputs.reference)

    def chunk(name: str, start: int, stop: int) -> Tensor:
        delta = moves.read(name, start, stop).double()
        bent = read_curvature(curvature, name, start, stop)
        if not guard:
            return _plain(delta, bent, exponent)
        bent.add_(damping * found.scales[name])
        return found.silence(name, start, to_scores(delta.square_().div_(_power(bent, exponent))))

    return Scores(score_specs(inputs.suspect), chunk, found.counts)


def _plain(delta: Tensor, curvature: Tensor, exponent: float) -> Tensor:
    if exponent == 0.0:
        return to_scores(delta.square_())
    flat = curvature == 0
    moved = delta.abs()
    scores = to_scores(delta.square_().div_(_power(curvature.masked_fill_(flat, 1.0), exponent)))
    return torch.where(flat & (moved > 0), to_scores(moved).neg_(), scores.masked_fill_(flat, 0.0))


def _power(curvature: Tensor, exponent: float) -> Tensor:
    return curvature if exponent == 1.0 else curvature.pow_(exponent)


DRIFT_CURVATURE: Final = Indicator(
    name="drift-curvature",
    score=_score,
    needs_curvature=True,
    defaults={"exponent": 1.0, "degenerate": "guard", "damping": 1.0},
    check_values=_check,
)
"""Squared drift over curvature.

Settings:
    exponent: a ≥ 0. 1 is the paper's form; 0 ranks by |δ|.
    degenerate: ``guard`` or ``plain``.
    damping: λ > 0, the share of a tensor's mean curvature that is added under ``guard``.
"""
