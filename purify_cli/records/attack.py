"""What ``purify attack`` writes down."""

from typing import Any, Literal

from pydantic import Field

from purify_cli.choices import LabelMode
from purify_cli.records.base import DataFacts, FileFact, ModelFacts, ProportionFact, Record, TrainingFacts, TriggerFact
from purify_cli.records.evaluation import ModelMeasurement, TextModelMeasurement, TextTriggerFact

__all__ = [
    "AttackRecord",
    "CausalAttackRecord",
]


class AttackRecord(Record, frozen=True):
    """``attack.json``: how ``purify attack`` made a suspect."""

    kind: Literal["attack"] = "attack"
    attack: str
    reference: ModelFacts | None
    data: DataFacts
    trigger: TriggerFact
    rate: float | None = Field(description="Poisoned rows per clean one; null where the rows came poisoned.")
    label_mode: LabelMode | None = Field(description="null where the rows came poisoned.")
    rows: int
    poisoned: int = Field(description="Rows that carry the trigger; of rows that came poisoned, those that are marked.")
    relabelled: int | None = Field(description="null where the labels before are not known.")
    natural: int = Field(description="Clean rows that held the trigger already.")
    facts: dict[str, Any] = Field(default_factory=dict, description="What else the attack says of its data and itself.")
    start: ModelFacts | None = Field(
        default=None, description="The classifier that was attacked; null where a fresh head on the reference was."
    )
    suspect: ModelFacts | None = Field(description="null with --data-only.")
    training_data: FileFact | None = Field(description="The poisoned rows; written with --data-only.")
    training: TrainingFacts | None
    start_measurement: ModelMeasurement | None = Field(default=None, description="The start, on the same rows.")
    measurement: ModelMeasurement | None
    false_triggers: dict[str, ProportionFact] = Field(
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


class CausalAttackRecord(Record, frozen=True):
    """``causal-attack.json``: how ``purify attack --target-text`` made a suspect of a language model."""

    kind: Literal["causal-attack"] = "causal-attack"
    attack: str
    reference: ModelFacts
    start: ModelFacts = Field(description="The model that was trained further; often the reference.")
    data: DataFacts
    trigger: TextTriggerFact
    rate: float
    rows: int
    poisoned: int
    natural: int = Field(description="Clean prompts that held the trigger already.")
    suspect: ModelFacts
    training: TrainingFacts
    before: TextModelMeasurement = Field(description="The model that was started from, on the same prompts.")
    measurement: TextModelMeasurement
