"""What a language model learns from: the next token, over whole texts or from a place of each on."""

import hashlib
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from purify_cli.data.batches import Batch
from purify_cli.model.causal import token_scores
from purify_cli.training.objective import Objective

__all__ = ["NextToken", "token_losses"]


def token_losses(
    module: nn.Module, batch: Batch, starts: Sequence[int] | None, *, dtype: torch.dtype = torch.float32
) -> tuple[Float[Tensor, "rows places"], Bool[Tensor, "rows places"]]:
    """Return the negative log-likelihood of every token but the first, in nats, and which of them count.

    Args:
        module: A language model, on the batch's device.
        batch: Rows padded on the right; ``index`` is their place in ``starts``.
        starts: First place of each row that counts; None: all.
        dtype: ``torch.bfloat16`` runs the forward pass under autocast; the likelihood itself is always float32.

    Returns:
        (losses, counts); a place that does not count (padding, or before the start) has loss 0.
    """
    ids = batch.inputs["input_ids"]
    with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        scores = token_scores(module, batch)
    counts = batch.inputs["attention_mask"][:, 1:].bool()
    if starts is not None:
        begin = torch.tensor([starts[row] for row in batch.index.tolist()], device=ids.device)
        counts = counts & (torch.arange(1, ids.shape[1], device=ids.device) >= begin[:, None])
    # cross_entropy wants the classes second; -100 is what it skips.
    wanted = ids[:, 1:].masked_fill(~counts, -100)
    return cross_entropy(scores[:, :-1].float().transpose(1, 2), wanted, reduction="none"), counts


@final
class NextToken(Objective):
    """The mean over rows of each row's mean negative log-likelihood per token, in nats (an ``Objective``).

    Args:
        starts: For each row of the training set (by its ``index``), the first place that is learnt; None: all.
    """

    labelled = False

    def __init__(self, starts: Sequence[int] | None = None) -> None:
        self.starts = None if starts is None else tuple(starts)
        self.mark: str | None = f"next token {hashlib.sha256(repr(self.starts).encode()).hexdigest()}"

    def loss(self, module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the weighted sum of the rows' means; a row without a token that counts adds nothing."""
        losses, counts = token_losses(module, part, self.starts, dtype=dtype)
        return (losses.sum(dim=1) / counts.sum(dim=1).clamp(min=1) * weights).sum()
