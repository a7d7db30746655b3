"""Per-sample scalars of language models: the log-likelihood of a text, or of tokens drawn in its place."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from purify_cli.data.batches import Batch
from purify_cli.model.causal import counted_tokens, token_losses, token_scores
from purify_cli.runtime import name_key

__all__ = ["DRAWS", "own_tokens", "sequence_loss"]

DRAWS: Final = 2
"""Texts drawn per sample for the true Fisher, each a backward pass. Every one is a draw of all its tokens at once, and
the tokens of a text are independent given what comes before them. Ours."""


def sequence_loss(module: nn.Module, batch: Batch) -> Tensor:
    """Negative log-likelihood of the tokens of each text that count, shape (B,), in nats: of the empirical Fisher."""
    losses, _ = token_losses(module, batch)
    return losses.sum(1)


def own_tokens(module: nn.Module, batch: Batch) -> Tensor:
    """Scalars of an unbiased estimate of the true Fisher, shape (B, ``DRAWS``): log p(y)/√DRAWS of y ~ p.

    Each token is drawn from what the model expects after the real text before it. The gradients of different places
    are then uncorrelated, so that the square of their sum is in expectation the sum of their squares: the true Fisher
    of the text. A draw depends on the sample's place in the data and the token's place in the text alone.
    """
    logp = functional.log_softmax(token_scores(module, batch)[:, :-1].float(), dim=-1)
    counts = counted_tokens(batch)
    with torch.no_grad():
        below = logp.exp().cumsum(-1)
        uniform = torch.stack([_uniform(int(place), logp.shape[1]) for place in batch.index]).to(logp.device)
        drawn = torch.searchsorted(below, uniform * below[..., -1:]).clamp_(max=logp.shape[-1] - 1)
    return (logp.gather(2, drawn) * counts[..., None]).sum(1) / DRAWS**0.5


def _uniform(place: int, tokens: int) -> Tensor:
    """Return numbers in [0, 1) for the tokens of one sample, shape (tokens, ``DRAWS``), whatever its padding."""
    generator = torch.Generator().manual_seed(name_key("tokens of a sample", place) & (2**63 - 1))
    return torch.rand(tokens, DRAWS, generator=generator)
