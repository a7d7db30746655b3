"""What a training run reports: everything but the time it took, so that the same run gives the same record."""

from dataclasses import dataclass
from typing import Any, final

from purify_cli.training.settings import TrainingSettings

__all__ = ["TrainingResult", "Validation"]


@final
@dataclass(frozen=True, slots=True)
class Validation:
    """One look at the held-back samples."""

    step: int
    """Steps done when it was taken."""
    loss: float
    """Mean cross-entropy, in nats."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """How a training run went."""

    settings: TrainingSettings
    steps: int
    """Optimiser steps done."""
    epochs: float
    """Passes over the data done; a part of a pass counts as that part."""
    losses: tuple[float, ...]
    """Mean cross-entropy of each step's samples before the step, in nats."""
    validation: tuple[Validation, ...]
    """Losses on the held-back samples after each pass and at the end; empty without such samples."""
    kept_step: int
    """Step after which the module has been left: the best of ``validation``, or the last."""
    stopped_early: bool
    """Whether fewer steps were taken than the schedule has: patience ran out, or had chosen so many."""

    @property
    def first_loss(self) -> float:
        """Loss of the first step's samples."""
        return self.losses[0]

    @property
    def last_loss(self) -> float:
        """Loss of the last step's samples."""
        return self.losses[-1]

    @property
    def mean_loss(self) -> float:
        """Mean over all steps."""
        return sum(self.losses) / len(self.losses)

    def as_record(self) -> dict[str, Any]:
        """Return a summary as plain JSON values; the losses of single steps are left out."""
        return {
            "steps": self.steps,
            "epochs": self.epochs,
            "first_loss": self.first_loss,
            "last_loss": self.last_loss,
            "mean_loss": self.mean_loss,
            "validation": [{"step": point.step, "loss": point.loss} for point in self.validation],
            "kept_step": self.kept_step,
            "stopped_early": self.stopped_early,
        }
