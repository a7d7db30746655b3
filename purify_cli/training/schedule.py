"""The learning rate over the steps, and which parameters are decayed."""

from collections.abc import Mapping
from typing import Any

from torch.nn import Parameter

__all__ = ["parameter_groups", "rate_factor", "warmup_steps"]


def warmup_steps(total: int, share: float) -> int:
    """Number of steps over which the rate rises: the share of the total, rounded, and never all steps."""
    return min(round(total * share), total - 1)


def rate_factor(step: int, total: int, warmup: int) -> float:
    """Return what the highest rate is multiplied with at a step.

    Rises over ``warmup`` steps in equal parts, 1/(warmup + 1) at the first; is 1 at step ``warmup``; then falls in
    equal parts to 1/(total − warmup) at the last step. No step is taken with a rate of 0.

    Args:
        step: Steps done before this one, 0 ≤ step < total.
        total: All steps of the run.
        warmup: Steps of rising, 0 ≤ warmup < total.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (total - step) / (total - warmup)


def parameter_groups(
    parameters: Mapping[str, Parameter], *, weight_decay: float, decay_all: bool
) -> list[dict[str, Any]]:
    """Sort parameters into optimiser groups: decayed and not.

    Args:
        parameters: The trainable ones, by name.
        weight_decay: Decay of the first group.
        decay_all: False leaves vectors (biases and normalisation weights) out of the decay: shrinking a scale or an
            offset towards 0 regularises nothing.
    """
    decayed = [p for p in parameters.values() if decay_all or p.ndim > 1]
    spared = [p for p in parameters.values() if not decay_all and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
