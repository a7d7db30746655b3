"""Hold single entries still while the rest of a model is fine-tuned."""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from purify_cli.data.batches import Batch
from purify_cli.model import LoadedModel
from purify_cli.training import Objective
from purify_cli.training.state import tensors_sha256

__all__ = ["HoldEntries", "objective_for"]


@final
class HoldEntries(Objective):
    """An objective with some entries held: no gradient for them, and their values put back after every step.

    A zero gradient alone would not do: weight decay moves what has none.

    Args:
        learnt: What the other entries learn from.
        held: Parameter name → (its shape) bool on the parameter's device, True where an entry stays.
        values: Parameter name → the held entries, in row-major order.
        whole_vocabulary: Whether the word embedding is among them.
    """

    def __init__(
        self, learnt: Objective, held: Mapping[str, Tensor], values: Mapping[str, Tensor], *, whole_vocabulary: bool
    ) -> None:
        self._learnt, self._held, self._values = learnt, held, values
        self.labelled = learnt.labelled
        self.whole_vocabulary = whole_vocabulary
        self.mark: str | None = f"{learnt.mark}, held {tensors_sha256(held)} at {tensors_sha256(values)}"

    def loss(self, module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the weighted sum of the rows' losses."""
        return self._learnt.loss(module, part, weights, dtype)

    def gradients(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the held entries out of the gradient, and so out of its norm."""
        for name, held in self._held.items():
            gradient = parameters[name].grad
            if gradient is not None:
                gradient.masked_fill_(held, 0)

    @torch.no_grad()
    def stepped(self, step: int, total: int, parameters: Mapping[str, Parameter]) -> None:
        """Put the held entries back."""
        del step, total
        for name, held in self._held.items():
            parameters[name].masked_scatter_(held, self._values[name])


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
    return HoldEntries(
        learnt,
        held,
        {name: parameters[name].detach()[mask].clone() for name, mask in held.items()},
        whole_vocabulary=any(parameters[name] is words for name in held),
    )
