"""Per-sample scalars whose squared gradients make up a Fisher diagonal."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from purify_cli.data.batches import Batch
from purify_cli.errors import DataError, UsageError
from purify_cli.model import logits
from purify_cli.runtime import name_key

__all__ = ["Scalars", "gold_loss", "one_sample", "own_labels"]

Scalars = Callable[[nn.Module, Batch], Tensor]
"""From a module and a batch to scalars of shape (B,) or (B, M), row s depending on sample s alone. The squared
gradients of the M columns are added up; what is not to be differentiated must be detached."""

MOST_EXACT: Final = 32
"""Labels up to which the true Fisher is exact, in one backward pass less than there are labels."""

DRAWS: Final = 32
"""Labels drawn per sample where there are more."""


def one_sample(batch: Batch, place: int) -> Batch:
    """Cut one sample out of a batch, padding included."""
    return batch.take(slice(place, place + 1))


def gold_loss(module: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy with the gold label, shape (B,): the empirical Fisher's scalar.

    Raises:
        UsageError: If the batch has no labels.
        DataError: If a label is outside the head.
    """
    if batch.labels is None:
        raise UsageError(
            "the empirical Fisher needs a label for every sample", hint="Label the clean data, or pass --unlabelled."
        )
    scores = logits(module, batch)
    outside = (batch.labels < 0) | (batch.labels >= scores.shape[1])
    if outside.any():
        raise DataError(
            f"label {int(batch.labels[outside][0])} of sample {int(batch.index[outside][0])} is outside the head, "
            f"which has {scores.shape[1]} labels",
            hint="Labels count from 0.",
        )
    return functional.cross_entropy(scores, batch.labels, reduction="none")


def own_labels(module: nn.Module, batch: Batch) -> Tensor:
    r"""Scalars of the true Fisher, exact and of shape (B, C − 1) up to ``MOST_EXACT`` classes: no gold labels are used.

    The true Fisher of one sample is Σ_c p_c (∂ log p_c)². With j_c = ∂z_c the gradient of logit c and j̄ = Σ_c p_c j_c,
    ∂ log p_c = j_c − j̄, so that it is the *variance* of j under p: Jᵀ(diag(p) − ppᵀ)J, elementwise on the diagonal.
    The middle matrix has rank C − 1, so C − 1 backward passes are enough. Splitting off one class after the other
    (law of total variance: variance = variance between {m} and {m+1…C} + variance within the rest) gives its
    Cholesky factor in closed form,

        Σ_m  p_m·W_{m+1}/W_m · (j_m − Σ_{k>m} (p_k/W_{m+1})·j_k)²,   W_m = Σ_{k≥m} p_k,   m = 1 … C − 1,

    and each bracket with its root is the gradient of one scalar in which probabilities count as constants. For two
    classes that is one pass, of √(p₀·p₁)·(z₀ − z₁). Everything is kept in logarithms, since for a confident model the
    improbable classes carry nearly all of the value.

    With more classes, which a suspect may have by the thousand, the expectation is estimated from ``DRAWS`` labels per
    sample (``_drawn_labels``).
    """
    scores = logits(module, batch)
    if scores.shape[1] > MOST_EXACT:
        return _drawn_labels(scores, batch.index)
    with torch.no_grad():
        # On the CPU: Apple's GPUs have no float64, and these are few numbers.
        logp = functional.log_softmax(scores.cpu().double(), dim=1)
        tail = logp.flip(1).logcumsumexp(1).flip(1)  # log W_m
        factor = torch.exp((logp[:, :-1] + tail[:, 1:] - tail[:, :-1]) / 2).to(scores)
        # within[s, m, k] = p_k / W_{m+1} for k > m, else 0
        within = torch.exp((logp.unsqueeze(1) - tail[:, 1:].unsqueeze(2)).triu(1).clamp(max=0.0)).triu(1)
    rest = torch.einsum("smk,sk->sm", within.to(scores), scores)
    return factor * (scores[:, :-1] - rest)


def _drawn_labels(scores: Tensor, index: Tensor) -> Tensor:
    """Scalars of an unbiased estimate of the true Fisher, shape (B, ``DRAWS``): log p(y)/√DRAWS of labels y ~ p.

    The draws of a sample are systematic (one uniform number, shifted by 1/DRAWS each time), so that every label comes
    up as often as p says to within one, and depend on the sample's place in the data alone, not on its batch.
    """
    logp = functional.log_softmax(scores, dim=1)
    with torch.no_grad():
        total = logp.detach().cpu().double().exp().cumsum(1)
        start = torch.tensor([_uniform(int(place)) for place in index], dtype=torch.float64)
        wanted = (start.unsqueeze(1) + torch.arange(DRAWS)) / DRAWS * total[:, -1:]
        labels = torch.searchsorted(total, wanted).clamp_(max=scores.shape[1] - 1)
    return logp.gather(1, labels.to(scores.device)) / DRAWS**0.5


def _uniform(place: int) -> float:
    """Return a number in (0, 1) that depends on the place alone."""
    return (name_key("label of a sample", place) / 2**63 + 1) / 2
