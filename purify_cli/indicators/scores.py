"""What every indicator does with its inputs: scores as a lazy source, the curvature it needs, scores kept finite."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from torch import Tensor

from purify_cli.errors import UsageError
from purify_cli.protocols import IndicatorInputs
from purify_cli.tensors import TensorSource, TensorSpec

__all__ = ["LARGEST", "Scores", "check_guard", "curvature_of", "read_curvature", "score_specs", "to_scores"]

LARGEST: Final = torch.finfo(torch.float32).max
"""Scores that overflow are held here: an infinite score would leave the order of the encoding."""


@final
@dataclass(frozen=True, slots=True)
class Scores:
    """Scores as a lazy source; every chunk is a pure function of what was gathered before."""

    specs: Mapping[str, TensorSpec]
    chunk: Callable[[str, int, int], Tensor]
    """(tensor, first entry, last + 1) → their scores."""
    degenerate: Mapping[str, int] = field(default_factory=dict[str, int])
    """Dimensions per special rule, for the report."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Score entries ``start`` to ``stop`` of a tensor."""
        return self.chunk(name, start, self.specs[name].numel if stop is None else stop)


def check_guard(settings: Mapping[str, Any]) -> None:
    """Check the settings ``degenerate`` and ``damping`` of scores that divide by the curvature.

    Raises:
        UsageError: If one is out of range.
    """
    rule, damping = settings["degenerate"], float(settings["damping"])
    if rule not in {"guard", "plain"}:
        raise UsageError(f"degenerate={rule} is not known", hint="Use guard or plain.")
    # Products of the smallest float32 stay above 0 in float64 within this range.
    if not 1e-9 <= damping <= 1e6:
        raise UsageError(f"damping={damping} is not between 1e-9 and 1e6", hint="1 is the default.")


def curvature_of(inputs: IndicatorInputs, name: str) -> TensorSource:
    """Return the curvature that an indicator needs.

    Raises:
        UsageError: If there is none.
    """
    if inputs.curvature is None:
        raise UsageError(f"indicator {name} needs curvature", hint="Give clean data, or --indicator drift.")
    return inputs.curvature


def read_curvature(curvature: TensorSource, name: str, start: int, stop: int) -> Tensor:
    """Read Ĥ as float64, ≥ 0; a tensor that it lacks was never reached and has none."""
    if name not in curvature.specs:
        return torch.zeros(stop - start, dtype=torch.float64)
    # Hutchinson's estimate can be negative, which is noise.
    return curvature.read(name, start, stop).double().clamp_(min=0)


def score_specs(source: TensorSource) -> dict[str, TensorSpec]:
    """Names and shapes of a source, as float32."""
    return {name: TensorSpec(name, torch.float32, spec.shape) for name, spec in source.specs.items()}


def to_scores(values: Tensor) -> Tensor:
    """Round ordinary scores (≥ 0, any floating type) to float32 and hold what overflows at ``LARGEST``."""
    return values.clamp_(max=LARGEST).float()
