"""``purify finetune``."""

from dataclasses import KW_ONLY, dataclass
from os import fspath
from typing import Annotated, final

from purify_cli.choices import Name
from purify_cli.errors import UsageError
from purify_cli.requests.option import Option, argument
from purify_cli.requests.shared import (
    Data,
    Epochs,
    LabelNames,
    LearningRate,
    Output,
    Overwrite,
    Reference,
    Shared,
    WeightDecay,
)

__all__ = ["FinetuneRequest"]


@final
@dataclass(frozen=True)
class FinetuneRequest(Shared):
    """Fine-tune MODEL on data and write it.

    On labelled data a model without a classification head gets a fresh one. On texts, or prompts with completions, a
    causal language model learns the next token.
    """

    model: Annotated[Name, argument("Model to start from: file, folder, hub id or alias.", read=fspath)]
    _: KW_ONLY
    data: Data
    reference: Reference = None
    epochs: Epochs = None
    steps: Annotated[int | None, Option(low=1, help="Optimiser steps, in place of epochs. [default: 60]")] = None
    learning_rate: LearningRate = None
    weight_decay: WeightDecay = 0.0
    label_names: LabelNames = None
    output: Output = None
    overwrite: Overwrite = False
    batch_size: Annotated[int, Option(low=1, help="Texts per step.")] = 16

    def __post_init__(self) -> None:
        """Refuse two lengths.

        Raises:
            UsageError: If a value cannot be used.
        """
        Shared.__post_init__(self)
        if self.epochs is not None and self.steps is not None:
            raise UsageError("--epochs and --steps exclude each other", hint="Give one of the two.")
