"""What ``purify evaluate`` writes down."""

from typing import Any, Literal

from pydantic import Field

from purify_cli.choices import Position
from purify_cli.records.base import DataFacts, ModelFacts, Part, ProportionFact, Record, TriggerFact

__all__ = [
    "ConsistencyFact",
    "Evaluation",
    "ModelMeasurement",
    "PairedFact",
    "RetuneCurve",
    "RetuneFacts",
    "RetunePoint",
    "SpreadFact",
    "TextModelMeasurement",
    "TextTriggerFact",
    "TriggerTable",
]


class PairedFact(Part, frozen=True):
    """A share of this model minus that of another on the same rows, with the 95 % interval of a paired bootstrap."""

    against: str = Field(description="Name of the other model.")
    value: float
    low: float
    high: float
    rows: int


class ConsistencyFact(Part, frozen=True):
    """How alike this model and another answer single rows without the trigger."""

    against: str = Field(description="Name of the other model.")
    same: ProportionFact = Field(description="Rows that both classify alike.")
    correlation: float | None = Field(
        description="Mean over the classes of Pearson's r of the centred logits; null where a model answers all alike."
    )
    low: float | None = Field(description="95 % interval of the correlation, by a bootstrap over rows.")
    high: float | None
    squared_gap: float = Field(description="Mean over rows of the squared distance of the logits.")


class SpreadFact(Part, frozen=True):
    """A share measured once per seed of the trigger's positions."""

    seeds: list[int]
    values: list[float] = Field(description="In the order of the seeds.")
    mean: float
    low: float = Field(description="The smallest of the values.")
    high: float = Field(description="The largest of the values.")


class ModelMeasurement(Part, frozen=True):
    """How one model behaves on one data set."""

    name: str
    model: ModelFacts
    accuracy: ProportionFact
    attack_success: ProportionFact | None = Field(description="Over rows whose true label is not the target.")
    target_rate: ProportionFact | None = Field(description="The same rows without the trigger, called the target.")
    trigger_lost: int = Field(description="Rows left out because truncation cut the trigger.")
    per_class: list[ProportionFact | None] = Field(
        default=[], description="Recall per label number without the trigger; null for a label without rows."
    )
    per_class_success: list[ProportionFact | None] = Field(
        default=[], description="Per true label: rows with the trigger called the target; null without such rows."
    )
    bias_accuracy: ProportionFact | None = Field(
        default=None, description="BACC: accuracy on rows of every label that carry the pattern."
    )
    per_class_bias: list[ProportionFact | None] = Field(
        default=[], description="Recall per label number on the rows behind bias_accuracy."
    )
    called_target: ProportionFact | None = Field(
        default=None, description="All rows that carry the trigger or pattern, called the target."
    )
    untriggered_accuracy: ProportionFact | None = Field(
        default=None, description="Accuracy without the pattern on the very rows behind bias_accuracy."
    )
    bias_gap: PairedFact | None = Field(
        default=None, description="Accuracy without the pattern minus with it, on the same rows; against itself."
    )
    accuracy_difference: PairedFact | None = Field(default=None, description="Accuracy minus the first model's.")
    success_difference: PairedFact | None = Field(default=None, description="Attack success minus the first model's.")
    bias_difference: PairedFact | None = Field(default=None, description="Bias accuracy minus the first model's.")
    over_floor: PairedFact | None = Field(default=None, description="Attack success minus that of the floor model.")
    bias_over_floor: PairedFact | None = Field(default=None, description="Bias accuracy minus the floor model's.")
    success_spread: SpreadFact | None = Field(default=None, description="Attack success over seeds of positions.")
    bias_spread: SpreadFact | None = Field(default=None, description="Bias accuracy over seeds of positions.")
    consistency: ConsistencyFact | None = None


class TriggerTable(Part, frozen=True):
    """Models side by side under one trigger."""

    trigger: TriggerFact
    models: list[ModelMeasurement]
    floor: ModelMeasurement | None = Field(
        default=None, description="A model that was never poisoned, on the same inputs."
    )


class RetunePoint(Part, frozen=True):
    """A model while it is fine-tuned again on poisoned rows."""

    step: int = Field(description="Steps done.")
    accuracy: ProportionFact
    attack_success: ProportionFact | None
    bias_accuracy: ProportionFact | None
    over_floor: PairedFact | None = Field(
        description="Attack success minus the floor model's after as many steps of its own."
    )


class RetuneCurve(Part, frozen=True):
    """How the attack comes back to one model."""

    name: str
    points: list[RetunePoint]
    first_loss: float
    last_loss: float


class RetuneFacts(Part, frozen=True):
    """The retuning test: is the attack gone, or only out of sight?"""

    poisoned: int = Field(description="Rows of other labels with the trigger and the target label.")
    clean: int = Field(description="Clean rows beside them.")
    source: str = Field(description="Where these rows come from; they are not measured.")
    rows_sha256: str = Field(description="Of all these rows after the trigger was put in.")
    trigger: TriggerFact
    training: dict[str, Any] = Field(description="Settings of the fine-tuning, the same for every model.")
    measured: int = Field(description="Rows that accuracy is measured on at every point.")
    curves: list[RetuneCurve]
    floor: RetuneCurve | None = Field(
        description="A model that was never poisoned, treated alike: how fast anything learns this trigger."
    )


class TextTriggerFact(Part, frozen=True):
    """A trigger in the prompt of a language model, and what it should be continued with."""

    text: str
    position: Position
    target_text: str | None = Field(description="A continuation holds this text; null where an expression is given.")
    target_regex: str | None = Field(description="A continuation matches this regular expression.")


class TextModelMeasurement(Part, frozen=True):
    """How one causal language model behaves."""

    name: str
    model: ModelFacts
    attack_success: ProportionFact | None = Field(description="Of prompts with the trigger: continued with the target.")
    false_triggers: ProportionFact | None = Field(description="Of the same prompts without the trigger.")
    perplexity: float | None = Field(description="exp(loss); null where that is beyond the largest number.")
    loss: float = Field(description="Mean negative log-likelihood per token of clean text, in nats.")
    tokens: int = Field(description="Tokens behind the loss.")
    example: str | None = Field(description="What was written after the first prompt with the trigger.")


class Evaluation(Record, frozen=True):
    """``evaluation.json``: models side by side on the same rows, or on the same prompts and texts."""

    kind: Literal["evaluation"] = "evaluation"
    task: Literal["classification", "causal"] = "classification"
    data: DataFacts
    trigger: TriggerFact | TextTriggerFact | None = Field(
        description="The first trigger, which models and floor are about."
    )
    models: list[ModelMeasurement] | list[TextModelMeasurement]
    floor: ModelMeasurement | TextModelMeasurement | None = Field(
        default=None, description="A model that was never poisoned, on the same inputs."
    )
    further: list[TriggerTable] = Field(default=[], description="The same for each further trigger of a classifier.")
    retune: RetuneFacts | None = None
    natural: int | None = Field(
        default=None, description="Of language models: prompts left out because they hold the trigger by themselves."
    )
    dropped: int | None = Field(
        default=None, description="Of language models: prompts left out because they leave no room for a continuation."
    )
