"""Fine-tuning that lets go of the drift: what clean texts do not ask for again stays with the reference."""

from collections.abc import Mapping
from dataclasses import replace
from math import exp
from typing import Final

import torch
from torch.nn import Parameter

from purify_cli.checkpoint import CheckpointPair
from purify_cli.model import LoadedModel
from purify_cli.tensors import read_tensor
from purify_cli.training import Objective

__all__ = ["anchored"]

LETTING_GO: Final = 0.3
"""Share of the steps in which the drift goes; the others learn without a pull."""


def anchored(learnt: Objective, loaded: LoadedModel, pair: CheckpointPair, strength: float) -> Objective:
    """Return an objective after whose steps every comparable dimension moves towards the reference.

    Drift shrinks by the factor exp(−strength) in all, evenly over the first ``LETTING_GO`` of the steps: what the loss
    keeps asking for is learnt again meanwhile, and what it never asks for is gone.

    Args:
        learnt: What is learnt.
        loaded: On its device.
        pair: Suspect and reference.
        strength: At least 0.

    Source:
        Ours. The pull towards the starting point is that of L2-SP (Li, Grandvalet, Davoine, ICML 2018,
        arXiv:1802.01483), decoupled from the gradient as AdamW's decay is, and here the point is the reference.
    """
    parameters = dict(loaded.module.named_parameters())
    reference = {
        name: read_tensor(pair.reference_part, stored).to(parameters[name].device, parameters[name].dtype)
        for name, stored in loaded.names.items()
        if stored in pair.reference_part.specs
    }

    @torch.no_grad()
    def pull(step: int, total: int, trained: Mapping[str, Parameter]) -> None:
        steps = max(1, round(LETTING_GO * total))
        if step <= steps:
            share = 1 - exp(-strength / steps)
            for name, goal in reference.items():
                # Of a resized vocabulary only the common rows, which come first, have a counterpart.
                trained[name][: len(goal)].lerp_(goal, share)

    return replace(
        learnt,
        mark=f"{learnt.mark}, anchored {strength}",
        whole_vocabulary=True,
        step_hooks=(*learnt.step_hooks, pull),
    )
