"""What every indicator does with its inputs: merge settings, name the result, keep scores finite."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from purify_cli.errors import UsageError
from purify_cli.tensors import TensorSource, TensorSpec

__all__ = ["LARGEST", "merged", "score_specs", "to_scores"]

LARGEST: Final = torch.finfo(torch.float32).max
"""Scores that overflow are held here: an infinite score would leave the order of the encoding."""


def merged(indicator: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay given settings over the defaults.

    Raises:
        UsageError: If the indicator does not know a setting.
    """
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        known = ", ".join(defaults) or "none"
        raise UsageError(f"indicator {indicator} has no setting {unknown[0]!r}", hint=f"Settings it knows: {known}.")
    return {**defaults, **given}


def score_specs(source: TensorSource) -> dict[str, TensorSpec]:
    """Names and shapes of a source, as float32."""
    return {name: TensorSpec(name, torch.float32, spec.shape) for name, spec in source.specs.items()}


def to_scores(values: Tensor) -> Tensor:
    """Round ordinary scores (≥ 0, any floating type) to float32 and hold what overflows at ``LARGEST``."""
    return values.clamp_(max=LARGEST).float()
