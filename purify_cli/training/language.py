"""What a language model learns from: the next token, over whole texts or from a place of each on."""

from typing import Final

import torch
from torch import Tensor, nn

from purify_cli.data.batches import Batch
from purify_cli.model.causal import token_losses
from purify_cli.training.objective import Objective

__all__ = ["NEXT_TOKEN"]


def _next_token(module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weighted sum of the rows' means; a row without a token that counts adds nothing."""
    losses, counts = token_losses(module, part, dtype=dtype)
    return (losses.sum(dim=1) / counts.sum(dim=1).clamp(min=1) * weights).sum()


NEXT_TOKEN: Final = Objective(loss=_next_token, mark="next token", labelled=False)
"""The mean over rows of each row's mean negative log-likelihood per token, in nats."""
