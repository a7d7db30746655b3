"""What every indicator does with its inputs: merge settings, name the result, keep scores finite."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from purify_cli.errors import UsageError
from purify_cli.tensors import TensorSource, TensorSpec

__all__ = ["LARGEST", "check_guard", "merged", "score_specs", "to_scores"]

LARGEST: Final = torch.finfo(torch.float32).max
"""Scores that overflow are held here: an infinite score would leave the order of the encoding."""


def merged(
    name: str, defaults: Mapping[str, Any], given: Mapping[str, Any], *, kind: str = "indicator"
) -> dict[str, Any]:
    """Lay given settings over the defaults.

    Args:
        name: Of the row whose settings they are.
        defaults: What it understands.
        given: What was asked for.
        kind: Word for the row in messages.

    Raises:
        UsageError: If a setting is unknown.
    """
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        known = ", ".join(defaults) or "none"
        raise UsageError(f"{kind} {name} has no setting {unknown[0]!r}", hint=f"Settings it knows: {known}.")
    return {**defaults, **given}


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


def score_specs(source: TensorSource) -> dict[str, TensorSpec]:
    """Names and shapes of a source, as float32."""
    return {name: TensorSpec(name, torch.float32, spec.shape) for name, spec in source.specs.items()}


def to_scores(values: Tensor) -> Tensor:
    """Round ordinary scores (≥ 0, any floating type) to float32 and hold what overflows at ``LARGEST``."""
    return values.clamp_(max=LARGEST).float()
