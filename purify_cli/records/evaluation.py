"""What ``purify evaluate`` writes down."""

from typing import Literal, Self

from pydantic import Field

from purify_cli.choices import Position
from purify_cli.comparison.table import LabelTrigger, ModelMeasurement, RetuneTest, TriggerTable
from purify_cli.data.triggers import Trigger
from purify_cli.evaluation.generation import TextMeasurement
from purify_cli.evaluation.prompts import Wanted
from purify_cli.inputs.identity import DataFacts, ModelFacts
from purify_cli.measures.intervals import Proportion
from purify_cli.records.base import Part, Record

__all__ = ["Evaluation", "TextModelMeasurement", "TextTrigger"]


class TextTrigger(Part, frozen=True):
    """A trigger in the prompt of a language model, and what it should be continued with."""

    text: str
    position: Position
    target_text: str | None = Field(description="A continuation holds this text; null where an expression is given.")
    target_regex: str | None = Field(description="A continuation matches this regular expression.")

    @classmethod
    def of(cls, trigger: Trigger, wanted: Wanted) -> Self:
        """Write a trigger and its target down."""
        return cls(text=trigger.text, position=trigger.position, target_text=wanted.text, target_regex=wanted.regex)


class TextModelMeasurement(Part, frozen=True):
    """How one causal language model behaves."""

    name: str
    model: ModelFacts
    attack_success: Proportion | None = Field(description="Of prompts with the trigger: continued with the target.")
    false_triggers: Proportion | None = Field(description="Of the same prompts without the trigger.")
    perplexity: float | None = Field(description="exp(loss); null where that is beyond the largest number.")
    loss: float = Field(description="Mean negative log-likelihood per token of clean text, in nats.")
    tokens: int = Field(description="Tokens behind the loss.")
    example: str | None = Field(description="What was written after the first prompt with the trigger.")

    @classmethod
    def of(cls, name: str, model: ModelFacts, measured: TextMeasurement) -> Self:
        """Write a measurement down."""
        return cls(
            name=name,
            model=model,
            attack_success=measured.attack_success,
            false_triggers=measured.false_triggers,
            perplexity=measured.clean.perplexity,
            loss=measured.clean.mean,
            tokens=measured.clean.total,
            example=measured.continuations[0] if measured.continuations else None,
        )


class Evaluation(Record, frozen=True):
    """``evaluation.json``: models side by side on the same rows, or on the same prompts and texts."""

    kind: Literal["evaluation"] = "evaluation"
    task: Literal["classification", "causal"] = "classification"
    data: DataFacts
    trigger: LabelTrigger | TextTrigger | None = Field(
        description="The first trigger, which models and floor are about."
    )
    models: list[ModelMeasurement] | list[TextModelMeasurement]
    floor: ModelMeasurement | TextModelMeasurement | None = Field(
        default=None, description="A model that was never poisoned, on the same inputs."
    )
    further: list[TriggerTable] = Field(default=[], description="The same for each further trigger of a classifier.")
    retune: RetuneTest | None = None
    natural: int | None = Field(
        default=None, description="Of language models: prompts left out because they hold the trigger by themselves."
    )
    dropped: int | None = Field(
        default=None, description="Of language models: prompts left out because they leave no room for a continuation."
    )
