"""|δ|: rank by how far a dimension moved, whatever the curvature. The exponent a = 0 of drift-curvature."""

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from purify_cli.drift import drift
from purify_cli.indicators.scores import Scores, score_specs, to_scores
from purify_cli.progress import Progress
from purify_cli.protocols import Indicator, IndicatorInputs

__all__ = ["DRIFT"]


def _score(inputs: IndicatorInputs, settings: Mapping[str, Any], progress: Progress) -> Scores:
    """Return |suspect − reference|; nothing is read before the scores are."""
    del settings, progress
    moves = drift(inputs.suspect, inputs.reference)

    def chunk(name: str, start: int, stop: int) -> Tensor:
        return to_scores(moves.read(name, start, stop).abs_())

    return Scores(score_specs(inputs.suspect), chunk)


DRIFT: Final = Indicator(name="drift", score=_score)
"""Absolute drift, in the weights' own units."""
