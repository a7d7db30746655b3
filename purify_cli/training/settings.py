"""How a model is fine-tuned, and the defaults of the two occasions on which it is."""

from dataclasses import dataclass, replace
from math import inf
from typing import Any, Self, final

import torch

from purify_cli.errors import UsageError

__all__ = ["TrainingSettings", "attack_settings", "repair_settings"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Everything that decides what a training run gives, besides model, data and machine.

    Raises:
        UsageError: If a value is out of range, or not exactly one of ``steps`` and ``epochs`` is given.
    """

    learning_rate: float
    """Highest rate of AdamW; it falls linearly to 0."""
    steps: int | None = None
    """Optimiser steps; the data are gone through as often as that takes."""
    epochs: int | None = None
    """Passes over the data."""
    stop: int | None = None
    """Stop after so many of the steps; the rate falls as if all were to come."""
    batch_size: int
    """Most samples in one forward pass."""
    accumulation: int = 1
    """Forward passes per step: a step sees ``batch_size * accumulation`` samples, and the same ones as a run with
    that batch size and no accumulation."""
    weight_decay: float = 0.0
    """Decoupled decay per step, times the rate. 0, not torch's 0.01: decay moves every entry of every embedding row,
    seen or not, and such drift would hide what training did."""
    decay_all: bool = False
    """False spares biases and normalisation weights, as is usual. True decays all parameters, as a bare
    ``torch.optim.AdamW(model.parameters())`` does."""
    warmup: float = 0.0
    """Share of the steps over which the rate rises, in [0, 1)."""
    max_grad_norm: float | None = 1.0
    """Gradients with a larger 2-norm over all parameters are scaled down to it; None never scales."""
    patience: int | None = None
    """Stop after this many validations in a row without a new lowest loss; None never stops early."""
    dtype: torch.dtype = torch.float32
    """``torch.bfloat16`` runs the forward passes under autocast; weights and optimiser stay float32."""
    seed: int = 0
    """Seed of the order of the samples and of dropout."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if (self.steps is None) == (self.epochs is None):
            raise UsageError("a training run needs either steps or epochs", hint="Give exactly one of the two.")
        for name in (
            "learning_rate",
            "steps",
            "epochs",
            "stop",
            "batch_size",
            "accumulation",
            "max_grad_norm",
            "patience",
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise UsageError(f"{name} is {value}, not a positive number", hint=f"Give {name} a value above 0.")
        if not 0 <= self.weight_decay < inf:
            raise UsageError(f"weight_decay is {self.weight_decay}", hint="Give 0 or more.")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"warmup is {self.warmup}, not a share of the steps", hint="Give 0 or more, less than 1.")
        if self.dtype not in (torch.float32, torch.bfloat16):
            raise UsageError(f"training in {self.dtype} is not possible", hint="Use float32 or bfloat16.")

    def within(self, batch_size: int) -> Self:
        """Bound a forward pass, without changing what a step learns from."""
        passes = -(-self.batch_size // batch_size)
        while self.batch_size % passes:
            passes += 1
        return replace(self, batch_size=self.batch_size // passes, accumulation=self.accumulation * passes)

    def as_record(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        record = {name: getattr(self, name) for name in self.__slots__}
        if self.stop is None:
            del record["stop"]
        return record | {"dtype": str(self.dtype).removeprefix("torch.")}


def repair_settings(**changes: Any) -> TrainingSettings:
    """Return the settings of fine-tuning after a reset: few clean samples, no decay.

    Args:
        changes: Fields to change; ``epochs`` takes the place of ``steps``.

    Source:
        5e-5 is the largest rate of BERT's own recipe (Devlin et al. 2019, appendix A.3). After a reset the model has
        much to learn again, and the smaller rates of the literature stop short of it (docs/results/grid.md compares).
        60 steps of 16 samples are 15 passes over 32 samples per class.
    """
    return _changed(TrainingSettings(learning_rate=5e-5, steps=60, batch_size=16), changes)


def attack_settings(**changes: Any) -> TrainingSettings:
    """Return the settings of fine-tuning on a poisoned set of thousands of rows.

    Args:
        changes: Fields to change; ``steps`` takes the place of ``epochs``.

    Source:
        The range of BERT's own recipe (Devlin et al. 2019, appendix A.3: batch 16 or 32, 2e-5 to 5e-5, 2 to 4
        epochs).
    """
    return _changed(TrainingSettings(learning_rate=5e-5, epochs=3, batch_size=32), changes)


def _changed(settings: TrainingSettings, changes: dict[str, Any]) -> TrainingSettings:
    if changes.get("epochs") is not None:
        changes = {"steps": None} | changes
    elif changes.get("steps") is not None:
        changes = {"epochs": None} | changes
    return replace(settings, **changes)
