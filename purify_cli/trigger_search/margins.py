"""How sure a classifier is of a label, for many words in the same short texts."""

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from purify_cli.data.batches import Batch
from purify_cli.errors import NonFiniteWeights
from purify_cli.model import logits
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute
from purify_cli.trigger_search.carriers import Carrier, filled

__all__ = ["NOTHING", "margins", "slot_logits"]

ROWS: Final = 256
"""Texts per forward pass: on a processor the activations of more fall out of its caches."""

NOTHING: Final = torch.empty(1, 0, dtype=torch.long)
"""A string of no tokens: the carriers by themselves."""


def slot_logits(
    module: nn.Module,
    carriers: Sequence[Carrier],
    strings: Int[Tensor, "k m"],
    compute: Compute,
    *,
    progress: Progress = SILENT,
    stage: str = "measuring words",
) -> Float[Tensor, "n k classes"]:
    """Return the class scores of every string in the slot of every carrier.

    Args:
        module: A classifier on the device, in evaluation mode.
        carriers: At least one; n of them.
        strings: Token ids; at least one string.
        compute: Device and type.
        progress: Told of every pass.
        stage: What it is told.

    Returns:
        float32 on the CPU.

    Raises:
        NonFiniteWeights: If the model's output is not a number.
    """
    steps = [(one, begin) for one in carriers for begin in range(0, len(strings), ROWS)]
    found: list[Tensor] = []
    autocast = torch.autocast(compute.device.type, dtype=torch.bfloat16, enabled=compute.dtype is torch.bfloat16)
    with torch.inference_mode(), autocast:
        for one, begin in progress.track(steps, stage, total=len(steps)):
            inputs = filled(one, strings[begin : begin + ROWS])
            rows = len(inputs["input_ids"])
            batch = Batch(inputs, None, torch.arange(rows)).to(compute.device)
            found.append(logits(module, batch).float().cpu())
    answers = torch.cat(found).reshape(len(carriers), len(strings), -1).clone()
    if not bool(torch.isfinite(answers).all()):
        raise NonFiniteWeights(
            "the model's output is not a number for some words of the vocabulary",
            hint="Its weights overflow; no sound model does that.",
        )
    return answers


def margins(scores: Float[Tensor, "*rows classes"], target: int) -> Float[Tensor, "*rows"]:
    """Return by how much the score of a label exceeds the best of the others; above 0 it is the answer."""
    others = scores.clone()
    others[..., target] = -torch.inf
    return scores[..., target] - others.amax(dim=-1)
