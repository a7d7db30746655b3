"""Hold single entries still while the rest of a model is fine-tuned."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import Parameter

from purify_cli.model import LoadedModel
from purify_cli.training import Objective
from purify_cli.training.state import tensors_sha256

__all__ = ["hold_entries", "objective_for"]


def hold_entries(
    learnt: Objective, held: Mapping[str, Tensor], values: Mapping[str, Tensor], *, words: bool
) -> Objective:
    """Return an objective with some entries held: no gradient for them, and their values put back after every step.

    A zero gradient alone would not do: weight decay moves what has none.

    Args:
        learnt: What the other entries learn from.
        held: Parameter name → (its shape) bool on the parameter's device, True where an entry stays.
        values: Parameter name → the held entries, in row-major order.
        words: Whether rows of the word embedding are among them.
    """

    def mask(parameters: Mapping[str, Parameter]) -> None:
        """Take the held entries out of the gradient, and so out of its norm."""
        for name, stays in held.items():
            gradient = parameters[name].grad
            if gradient is not None:
                gradient.masked_fill_(stays, 0)

    @torch.no_grad()
    def put_back(step: int, total: int, parameters: Mapping[str, Parameter]) -> None:
        del step, total
        for name, stays in held.items():
            parameters[name].masked_scatter_(stays, values[name])

    return replace(
        learnt,
        mark=f"{learnt.mark}, held {tensors_sha256(held)} at {tensors_sha256(values)}",
        whole_vocabulary=words,
        gradient_hooks=(*learnt.gradient_hooks, mask),
        step_hooks=(*learnt.step_hooks, put_back),
    )


def objective_for(loaded: LoadedModel, frozen: Mapping[str, Tensor], learnt: Objective) -> Objective:
    """Return what a loaded model learns from while some of its entries stay as they are now.

    Args:
        loaded: On its device, filled with the weights that training starts from.
        frozen: The checkpoint's name of a tensor → (its shape) bool.
        learnt: What its entries learn from.
    """
    parameters = dict(loaded.module.named_parameters())
    held = {
        name: frozen[stored].to(parameters[name].device)
        for name, stored in loaded.names.items()
        if stored in frozen and bool(frozen[stored].any())
    }
    if not held:
        return learnt
    words = loaded.module.get_input_embeddings().get_parameter("weight")
    return hold_entries(
        learnt,
        held,
        {name: parameters[name].detach()[mask].clone() for name, mask in held.items()},
        words=any(parameters[name] is words for name in held),
    )
