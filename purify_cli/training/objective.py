"""What a step learns from, and what is done around the optimiser's step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from purify_cli.data.batches import Batch
from purify_cli.model.causal import token_losses
from purify_cli.training.parts import row_losses

__all__ = ["CROSS_ENTROPY", "NEXT_TOKEN", "GradientHook", "Loss", "Objective", "StepHook"]

Loss = Callable[[nn.Module, Batch, Tensor, torch.dtype], Tensor]
"""From the module, in the mode it is trained in, a piece of a step (rows on its device), the (B,) weights of these rows
in the mean over the whole step (they add up to 1 over all pieces) and the compute type (``torch.bfloat16`` asks for
autocast of the forward pass) to the loss: a scalar with a graph."""

GradientHook = Callable[[Mapping[str, Parameter]], None]
"""Changes ``.grad`` in place, after the backward passes of a step and before clipping."""

StepHook = Callable[[int, int, Mapping[str, Parameter]], None]
"""Changes weights in place after the optimiser's step; gets its number, counted from 1, and that of all steps."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """The loss of a piece of a step, and the hooks around the optimiser's step."""

    loss: Loss
    mark: str | None
    """What identifies the objective and its settings in the state of an interrupted run.

    None: it keeps a state of its own from step to step, so that such a run starts anew.
    """
    labelled: bool = True
    """Whether every row needs a label."""
    whole_vocabulary: bool = False
    """Whether it has to see all rows of the word embedding, also those that no text touches; else the parameters hold
    only the rows that occur, which is faster."""
    gradient_hooks: tuple[GradientHook, ...] = ()
    step_hooks: tuple[StepHook, ...] = ()


def _cross_entropy(module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
    return (row_losses(module, part, device=weights.device, dtype=dtype) * weights).sum()


CROSS_ENTROPY: Final = Objective(loss=_cross_entropy, mark="cross-entropy")
"""The mean cross-entropy of labelled rows, in nats."""


def _next_token(module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weighted sum of the rows' means; a row without a token that counts adds nothing."""
    losses, counts = token_losses(module, part, dtype=dtype)
    return (losses.sum(dim=1) / counts.sum(dim=1).clamp(min=1) * weights).sum()


NEXT_TOKEN: Final = Objective(loss=_next_token, mark="next token", labelled=False)
"""The mean over rows of each row's mean negative log-likelihood per token, in nats: of whole texts, or from a place of
each on."""
