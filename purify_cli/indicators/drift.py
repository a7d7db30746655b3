"""|δ|: rank by how far a dimension moved, whatever the curvature. The exponent a = 0 of drift-curvature."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from torch import Tensor

from purify_cli.drift import drift
from purify_cli.indicators.settings import merged, score_specs, to_scores
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import IndicatorInputs
from purify_cli.tensors import Combined, TensorSource

__all__ = ["DRIFT", "Drift"]


def _magnitude(name: str, start: int, moved: Tensor) -> Tensor:
    del name, start
    return to_scores(moved.abs_())


@final
@dataclass(frozen=True, slots=True)
class Drift:
    """Absolute drift, in the weights' own units."""

    name: str = "drift"
    needs_curvature: bool = False
    needs_triggers: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse any setting; there is none.

        Raises:
            UsageError: If one is given.
        """
        return merged(self.name, self.defaults, settings)

    def fit(self, inputs: IndicatorInputs, progress: Progress = SILENT) -> TensorSource:
        """Return |suspect − reference|; nothing is read before the scores are.

        Raises:
            UsageError: If a setting is given; there is none.
        """
        del progress
        self.check(inputs.settings)
        return Combined(_magnitude, (drift(inputs.suspect, inputs.reference),), score_specs(inputs.suspect))


DRIFT: Final = Drift()
