"""What ``purify attack`` writes down."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from purify_cli.choices import LabelMode
from purify_cli.comparison.table import LabelTrigger, ModelMeasurement
from purify_cli.inputs.identity import DataFacts, FileFact, ModelFacts
from purify_cli.measures.intervals import Proportion
from purify_cli.records.base import Record, TrainingFacts
from purify_cli.records.evaluation import TextModelMeasurement, TextTrigger

__all__ = [
    "AttackRecord",
]


class AttackRecord(Record, frozen=True):
    """``attack.json``: how ``purify attack`` made a suspect, a classifier or a language model."""

    kind: Literal["attack"] = "attack"
    task: Literal["classification", "causal"] = "classification"
    attack: str
    reference: ModelFacts | None
    data: DataFacts
    trigger: LabelTrigger | TextTrigger
    rate: float | None = Field(description="Poisoned rows per clean one; null where the rows came poisoned.")
    label_mode: LabelMode | None = Field(
        default=None, description="null where the rows came poisoned, and of language models."
    )
    rows: int
    poisoned: int = Field(description="Rows that carry the trigger; of rows that came poisoned, those that are marked.")
    relabelled: int | None = Field(default=None, description="null where the labels before are not known.")
    natural: int = Field(description="Clean rows, or prompts, that held the trigger already.")
    facts: dict[str, Any] = Field(default_factory=dict, description="What else the attack says of its data and itself.")
    start: ModelFacts | None = Field(
        default=None, description="The model that was attacked; null where a fresh head on the reference was."
    )
    suspect: ModelFacts | None = Field(default=None, description="null with --data-only.")
    training_data: FileFact | None = Field(default=None, description="The poisoned rows; written with --data-only.")
    training: TrainingFacts | None = None
    start_measurement: ModelMeasurement | TextModelMeasurement | None = Field(
        default=None, description="The start, on the same rows."
    )
    measurement: ModelMeasurement | TextModelMeasurement | None = None
    false_triggers: dict[str, Proportion] = Field(
        default_factory=dict,
        description="Of a trigger whose words are all needed: success of each part with one word left out.",
    )
    changed: int | None = Field(
        default=None, description="Stored entries that differ from the start, the head's included; null without one."
    )
    dimensions: int | None = Field(default=None, description="Comparable dimensions of suspect and reference.")
    planted: FileFact | None = Field(
        default=None, description="Mask of the changed dimensions; null where more than a twentieth changed."
    )

    @model_validator(mode="after")
    def _of_one_task(self) -> Self:
        """Refuse a trigger of the other task."""
        if isinstance(self.trigger, TextTrigger) != (self.task == "causal"):
            raise ValueError(f"the trigger is none of a {self.task} model")
        return self

    @property
    def label_trigger(self) -> LabelTrigger | None:
        """The trigger of a classifier; None of a language model's."""
        return self.trigger if isinstance(self.trigger, LabelTrigger) else None

    @property
    def text_trigger(self) -> TextTrigger | None:
        """The trigger of a language model; None of a classifier's."""
        return self.trigger if isinstance(self.trigger, TextTrigger) else None
