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
from typing import Any, Final

import torch
from torch import Tensor

from purify_cli.drift import drift
from purify_cli.indicators.degenerate import survey
from purify_cli.indicators.scores import Scores, check_guard, curvature_of, read_curvature, score_specs, to_scores
from purify_cli.progress import Progress
from purify_cli.protocols import Indicator, IndicatorInputs

__all__ = ["INVERSE_CURVATURE"]

_UNMOVED: Final = torch.finfo(torch.float32).tiny
"""Under ``plain``, the magnitude of the mark of an entry without curvature that did not move: the last of its class,
and no zero, whose sign is easily lost."""


def _score(inputs: IndicatorInputs, settings: Mapping[str, Any], progress: Progress) -> Scores:
    """Survey curvature and degenerate dimensions in one pass; return the scores."""
    guard, damping = settings["degenerate"] == "guard", float(settings["damping"])
    curvature = curvature_of(inputs, "inverse-curvature")
    found = survey(inputs.suspect, inputs.reference, curvature, guard=guard, progress=progress)
    moves = drift(inputs.suspect, inputs.reference)

    def chunk(name: str, start: int, stop: int) -> Tensor:
        bent = read_curvature(curvature, name, start, stop)
        flat = bent == 0
        # Weights are read only where there is something to decide by them.
        moved = moves.read(name, start, stop).abs_() if bool(flat.any()) else torch.zeros(stop - start)
        if guard:
            scores = to_scores(bent.add_(damping * found.scales[name]).reciprocal_())
            return found.silence(name, start, scores.masked_fill_(flat & (moved == 0), 0.0))
        scores = to_scores(bent.masked_fill_(flat, 1.0).reciprocal_())
        return torch.where(flat, to_scores(moved.clamp_(min=_UNMOVED)).neg_(), scores)

    return Scores(score_specs(inputs.suspect), chunk, found.counts)


INVERSE_CURVATURE: Final = Indicator(
    name="inverse-curvature",
    score=_score,
    needs_curvature=True,
    defaults={"degenerate": "guard", "damping": 1.0},
    check_values=check_guard,
)
"""One over the curvature.

Settings:
    degenerate: ``guard`` or ``plain``.
    damping: λ > 0, the share of a tensor's mean curvature that is added under ``guard``.
"""
