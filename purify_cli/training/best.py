"""Which weights of a run are kept, and when it has gone on long enough."""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor
from torch.nn import Parameter

from purify_cli.training.result import Validation

__all__ = ["Best"]


@final
class Best:
    """The validations of a run so far and a copy of the weights of the best of them.

    Args:
        patience: Validations in a row without a new lowest loss after which to stop; None never stops.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.points: list[Validation] = []
        self.weights: dict[str, Tensor] = {}

    @property
    def _place(self) -> int:
        """Place of the lowest loss, the earliest of equals."""
        return min(range(len(self.points)), key=lambda place: self.points[place].loss)

    @property
    def step(self) -> int | None:
        """Step of the best validation; None before the first."""
        return self.points[self._place].step if self.points else None

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return bool(self.points) and self.patience is not None and len(self.points) - 1 - self._place >= self.patience

    def look(self, point: Validation, parameters: Mapping[str, Parameter]) -> None:
        """Take a validation in; copy the weights if it is the best so far."""
        self.points.append(point)
        if self._place == len(self.points) - 1:
            self.weights = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def put_back(self, parameters: Mapping[str, Parameter]) -> None:
        """Set the parameters to the best weights, if there was a validation."""
        for name, tensor in self.weights.items():
            parameters[name].copy_(tensor)
