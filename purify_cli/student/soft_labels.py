"""What a student is taught: a teacher's probabilities of rows, and the true labels of a few."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot, softmax

from purify_cli.data.batches import Batch
from purify_cli.data.example import Example
from purify_cli.model import logits
from purify_cli.training import Objective

__all__ = ["SoftLabels"]


@final
@dataclass(frozen=True, slots=True)
class SoftLabels:
    """Probabilities per row, at the temperature per row at which they are compared."""

    probabilities: Float[Tensor, "n classes"]
    temperatures: Float[Tensor, " n"]

    @staticmethod
    def of_teacher(answers: Float[Tensor, "n classes"], temperature: float) -> "SoftLabels":
        """Soften a teacher's logits."""
        return SoftLabels(softmax(answers / temperature, dim=1), torch.full((len(answers),), temperature))

    @staticmethod
    def of_labels(rows: Sequence[Example], classes: int) -> "SoftLabels":
        """Take true labels as certain.

        Raises:
            ValueError: If a row has none.
        """
        labels = [row.label for row in rows if row.label is not None]
        if len(labels) < len(rows):
            raise ValueError("a row has no label")
        return SoftLabels(one_hot(torch.tensor(labels), classes).float(), torch.ones(len(rows)))

    def __add__(self, other: "SoftLabels") -> "SoftLabels":
        """Append the labels of further rows."""
        return SoftLabels(
            torch.cat([self.probabilities, other.probabilities]), torch.cat([self.temperatures, other.temperatures])
        )

    def objective(self) -> Objective:
        """Return the loss: T²·KL(teacher ‖ student) at temperature T, the mean over rows.

        For a certain label at T = 1 that is the cross-entropy. Rows are known by ``Encoded.index``, their place here.

        Source:
            Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531: T² keeps the size
            of the gradient whatever the temperature.
        """
        entropy = (self.probabilities * self.probabilities.clamp_min(torch.finfo().tiny).log()).sum(dim=1)

        def loss(module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
            places = part.index.cpu()
            with torch.autocast(weights.device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
                answers = logits(module, part).float()
            wanted, own, temperature = (
                one[places].to(weights.device) for one in (self.probabilities, entropy, self.temperatures)
            )
            crossed = (wanted * log_softmax(answers / temperature[:, None], dim=1)).sum(dim=1)
            return (temperature.square() * (own - crossed) * weights).sum()

        digest = hashlib.sha256(self.probabilities.numpy().tobytes() + self.temperatures.numpy().tobytes())
        return Objective(loss=loss, mark=f"soft labels {digest.hexdigest()}", labelled=False)
