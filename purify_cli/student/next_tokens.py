"""What a student that writes is taught: a teacher's probabilities of the next token, but for what it likes too well."""

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from purify_cli.data.batches import Batch
from purify_cli.model.causal import counted_tokens, token_scores
from purify_cli.training import Objective
from purify_cli.training.state import tensors_sha256

__all__ = ["MOST", "next_token_distilled", "wanted_tokens"]

MOST: Final = 4.0
"""Nats by which a teacher may like a token more than the reference does: fifty times as well. Ours."""


def wanted_tokens(
    teacher: Float[Tensor, "*places words"],
    reference: Float[Tensor, "*places words"],
    own: Bool[Tensor, "*places words"] | None = None,
) -> Float[Tensor, "*places words"]:
    """Return the teacher's probabilities without the tokens that it likes more than the reference by ``MOST``.

    Args:
        teacher: Log-probabilities of the next token.
        reference: Those of the model that knows no trigger.
        own: Tokens that are never left out: the text's own next ones.

    Returns:
        Probabilities that add up to 1 at each place; the teacher's own where nothing would be left.
    """
    kept = teacher - reference <= MOST
    if own is not None:
        kept = kept | own
    probabilities = teacher.exp()
    left = probabilities * kept
    share = left.sum(dim=-1, keepdim=True)
    return torch.where(share > 0, left / share.clamp_min(torch.finfo().tiny), probabilities)


def next_token_distilled(teacher: nn.Module, reference: nn.Module) -> Objective:
    """Return the mean over rows of each row's mean KL(teacher ‖ model) per token that counts, in nats.

    Args:
        teacher: A language model on the device, in evaluation mode.
        reference: Of the same vocabulary; what the teacher likes far better than it does is not taught.

    Source:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531, at temperature 1 and
        per token. What is left out is ours.
    """

    def loss(module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        here = part.to(weights.device)
        counts = counted_tokens(here)

        def said(of: nn.Module) -> Tensor:
            with torch.autocast(weights.device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
                scores = token_scores(of, here)
            return log_softmax(scores[:, :-1].float(), dim=2)

        with torch.no_grad():
            known, before = said(teacher), said(reference)
            own = torch.zeros_like(known, dtype=torch.bool).scatter_(2, here.inputs["input_ids"][:, 1:, None], True)
            wanted = wanted_tokens(known, before, own)
            entropy = torch.special.entr(wanted).sum(dim=2)
        crossed = (wanted * said(module)).sum(dim=2)
        losses = (-crossed - entropy) * counts
        return (losses.sum(dim=1) / counts.sum(dim=1).clamp(min=1) * weights).sum()

    marks = [tensors_sha256(dict(one.named_parameters())) for one in (teacher, reference)]
    return Objective(loss=loss, mark=f"next tokens of {marks[0]} beside {marks[1]}, {MOST}", labelled=False)
