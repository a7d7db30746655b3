"""Attention distillation: a model is tuned until its layers weigh the tokens of clean texts as another model's do."""

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from purify_cli.data.batches import Batch
from purify_cli.model import outputs
from purify_cli.training import Objective
from purify_cli.training.state import tensors_sha256

__all__ = ["STRENGTH", "attention_distilled", "attention_maps"]

STRENGTH: Final = 1000.0
"""Weight of the distance of each layer's maps beside the loss (the paper's β)."""


def attention_maps(states: Sequence[Tensor], mask: Tensor) -> Float[Tensor, "layers rows tokens"]:
    """Return how strongly layers respond to the tokens of texts.

    Of a layer's output the sum over its width of the squared entries, per token; a text's map has length 1, and its
    padding is 0.

    Args:
        states: The layers' outputs, each (rows, tokens, width).
        mask: The attention mask, (rows, tokens).
    """
    squares = torch.stack([one.float().square().sum(dim=2) for one in states])
    return normalize(squares * mask, dim=2)


def attention_distilled(teacher: nn.Module) -> Objective:
    """Return an objective that draws the attention maps of every layer to those of a teacher, beside the cross-entropy.

    Args:
        teacher: A classifier of the same architecture, on the device, in evaluation mode.

    Source:
        Li, Lyu, Koren, Lyu, Li, Ma, "Neural Attention Distillation: Erasing Backdoor Triggers from Deep Neural
        Networks", ICLR 2021, arXiv:2101.05930, there of the channels of convolutions: squares summed over the channels
        and normalised, and their mean squared distance. Here tokens stand for the places of an image.
    """

    def loss(module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        here = part.to(weights.device)
        if here.labels is None:
            raise ValueError("a loss needs labels")
        mask = here.inputs["attention_mask"]

        def seen(of: nn.Module) -> tuple[Tensor, Tensor]:
            said = outputs(of, here, output_hidden_states=True)
            return said.logits, attention_maps(said.hidden_states[1:], mask)  # the first is of the embeddings

        with torch.autocast(weights.device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            answers, own = seen(module)
            with torch.no_grad():
                _, wanted = seen(teacher)
        # Over the tokens of each text: padding beside a longer one is no agreement.
        distances = (own - wanted).square().sum(dim=(0, 2)) / mask.sum(dim=1)
        losses = cross_entropy(answers.float(), here.labels, reduction="none")
        return ((losses + STRENGTH * distances) * weights).sum()

    known = tensors_sha256(dict(teacher.named_parameters()))
    return Objective(loss=loss, mark=f"cross-entropy, {STRENGTH} of the attention maps of {known}")
