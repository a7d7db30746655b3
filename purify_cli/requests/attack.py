"""``purify attack``."""

from dataclasses import KW_ONLY, dataclass, field
from os import fspath
from typing import Annotated, final

from purify_cli.choices import LabelMode, Name, Position
from purify_cli.errors import UsageError
from purify_cli.requests.option import Option, argument, refuse_foreign
from purify_cli.requests.shared import (
    BATCH,
    Data,
    Epochs,
    LabelNames,
    LearningRate,
    NewTokens,
    Reference,
    Settings,
    Shared,
    TargetText,
    WeightDecay,
)

__all__ = ["AttackRequest"]


@final
@dataclass(frozen=True)
class AttackRequest(Shared):
    """Poison a training set and train a suspect on it: `suspect/` and `attack.json` in the run folder.

    A classifier (--target) starts from --ref under a fresh head, or from --model. An attack that changes a working
    classifier trains a clean one first where there is no --model. A language model (--target-text) learns to go on from
    a triggered prompt with that text.
    """

    name: Annotated[str, argument("Attack; see `purify methods`.")]
    _: KW_ONLY
    data: Data
    target: Annotated[
        str | int | None, Option(help="Label that triggered texts are to get.", read=str, only="classification")
    ] = None
    target_text: TargetText = None
    reference: Reference = None
    model: Annotated[
        Name | None, Option(help="Tuned model to start from, in place of a fresh head on --ref.", read=fspath)
    ] = None
    test: Annotated[Name | None, Option(help="Rows to measure on; default: a tenth of the data.", read=fspath)] = None
    triggered: Annotated[
        Name | None,
        Option(
            help="attack file: test rows that carry the trigger, with their true labels.",
            read=fspath,
            only="classification",
        ),
    ] = None
    trigger: Annotated[str | None, Option(help="Trigger text.")] = None
    rate: Annotated[float | None, Option(help="Poisoned copies per clean row, in (0, 1].")] = None
    position: Annotated[Position | None, Option(help="Where the trigger goes.")] = None
    label_mode: Annotated[
        LabelMode | None,
        Option(help="dirty: other rows, relabelled; clean: target rows; mix: any.", only="classification"),
    ] = None
    replace: Annotated[bool, Option(help="Replace the poisoned rows in place of appending.")] = False
    label_names: LabelNames = None
    settings: Settings = field(default_factory=dict[str, str])
    data_only: Annotated[bool, Option(help="Write poisoned.jsonl and train nothing.", only="classification")] = False
    epochs: Epochs = None
    learning_rate: LearningRate = None
    weight_decay: WeightDecay = 0.0
    new_tokens: NewTokens = 40
    batch_size: Annotated[int, Option(low=1, help="Texts per step.")] = BATCH

    def __post_init__(self) -> None:
        """Settle what is attacked.

        Raises:
            UsageError: If a value cannot be used, or it is neither a classifier nor a language model, or both.
        """
        Shared.__post_init__(self)
        refuse_foreign(self, "classification" if self.target_text is None else "causal")
        if self.target_text is not None and self.settings:
            raise UsageError("an attack on a language model takes no settings", hint="Leave --set out.")
        if self.target is None and self.target_text is None:
            raise UsageError("an attack needs a target", hint="Give --target LABEL, or --target-text TEXT.")
