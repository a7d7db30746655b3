"""What a step learns from: the mean cross-entropy, or what an attack or a defence puts in its place."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from purify_cli.data.batches import Batch
from purify_cli.training.parts import row_losses

__all__ = ["CROSS_ENTROPY", "CrossEntropy", "Objective"]


class Objective(ABC):
    """The loss of a piece of a step, and what is done to gradients and weights around the optimiser's step."""

    mark: str | None
    """What identifies the objective and its settings in the state of an interrupted run.

    None: it keeps a state of its own from step to step, so that such a run starts anew.
    """
    labelled: bool = True
    """Whether every row needs a label."""
    whole_vocabulary: bool = False
    """Whether it has to see all rows of the word embedding, also those that no text touches; else ``parameters`` holds
    only the rows that occur, which is faster."""

    @abstractmethod
    def loss(self, module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the loss of a piece of a step as a scalar with a graph.

        Args:
            module: The model, in the mode it is trained in.
            part: Rows, on the module's device.
            weights: (B,), each row's weight in the mean over the whole step; they add up to 1 over all pieces.
            dtype: ``torch.bfloat16`` asks for autocast of the forward pass.
        """

    def gradients(self, parameters: Mapping[str, Parameter]) -> None:  # noqa: B027 - most leave them alone
        """Change ``.grad`` in place, after the backward passes of a step and before clipping; here nothing."""

    def stepped(self, step: int, total: int, parameters: Mapping[str, Parameter]) -> None:  # noqa: B027
        """Change weights in place after the optimiser's step, counted from 1 to ``total``; here nothing."""


@final
class CrossEntropy(Objective):
    """The mean cross-entropy of labelled rows, in nats."""

    mark = "cross-entropy"

    def loss(self, module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the weighted sum of the rows' losses."""
        return (row_losses(module, part, device=weights.device, dtype=dtype) * weights).sum()


CROSS_ENTROPY: Final = CrossEntropy()
