"""Domain values as records write them down."""

from purify_cli.data.triggers import Trigger
from purify_cli.evaluation import Measurement
from purify_cli.evaluation.generation import TextMeasurement
from purify_cli.evaluation.prompts import Wanted
from purify_cli.evidence.verdict import MISSED_AT
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import TokenLoss, Utility
from purify_cli.records.base import MissFact, ModelFacts, PerplexityFact, ProportionFact, TrainingFacts
from purify_cli.records.evaluation import ModelMeasurement, TextModelMeasurement, TextTriggerFact
from purify_cli.training import TrainingResult

__all__ = [
    "maybe",
    "measurement_facts",
    "miss_fact",
    "perplexity_fact",
    "proportion",
    "text_facts",
    "text_trigger",
    "training_facts",
    "utility_fact",
]


def proportion(share: Proportion) -> ProportionFact:
    """Write a share down with its interval."""
    low, high = share.interval
    return ProportionFact(successes=share.successes, total=share.total, value=share.value, low=low, high=high)


def maybe(share: Proportion | None) -> ProportionFact | None:
    """Write a share down where there is one."""
    return None if share is None else proportion(share)


def perplexity_fact(measured: TokenLoss) -> PerplexityFact:
    """Write a token loss down with its interval."""
    interval = measured.interval
    return PerplexityFact(
        perplexity=measured.perplexity,
        loss=measured.mean,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        tokens=measured.total,
        texts=len(measured.losses),
    )


def utility_fact(measured: Utility) -> ProportionFact | PerplexityFact:
    """Write an accuracy or a token loss down."""
    return proportion(measured) if isinstance(measured, Proportion) else perplexity_fact(measured)


def miss_fact(missed: Proportion) -> MissFact:
    """Write down what a search that finds nothing misses, with the settings at which that was counted."""
    low, high = missed.interval
    return MissFact(missed=missed.successes, of=missed.total, low=low, high=high, settings=dict(MISSED_AT))


def training_facts(result: TrainingResult) -> TrainingFacts:
    """Write a fine-tuning run down."""
    return TrainingFacts(
        settings=result.settings.as_record(),
        steps=result.steps,
        first_loss=result.first_loss,
        last_loss=result.last_loss,
        stopped_early=result.stopped_early,
    )


def measurement_facts(name: str, model: ModelFacts, measured: Measurement) -> ModelMeasurement:
    """Write a measurement down."""
    return ModelMeasurement(
        name=name,
        model=model,
        accuracy=proportion(measured.accuracy),
        attack_success=maybe(measured.attack_success),
        target_rate=maybe(measured.target_rate),
        trigger_lost=measured.dropped,
        per_class=[maybe(share) for share in measured.per_class],
        per_class_success=[maybe(share) for share in measured.per_class_success],
        bias_accuracy=maybe(measured.bias_accuracy),
        per_class_bias=[maybe(share) for share in measured.per_class_bias],
        called_target=maybe(measured.called_target),
        untriggered_accuracy=maybe(measured.untriggered_accuracy),
    )


def text_facts(name: str, model: ModelFacts, measured: TextMeasurement) -> TextModelMeasurement:
    """Write a measurement down."""
    return TextModelMeasurement(
        name=name,
        model=model,
        attack_success=maybe(measured.attack_success),
        false_triggers=maybe(measured.false_triggers),
        perplexity=measured.clean.perplexity,
        loss=measured.clean.mean,
        tokens=measured.clean.total,
        example=measured.continuations[0] if measured.continuations else None,
    )


def text_trigger(trigger: Trigger, wanted: Wanted) -> TextTriggerFact:
    """Write a trigger and its target down."""
    return TextTriggerFact(
        text=trigger.text, position=trigger.position, target_text=wanted.text, target_regex=wanted.regex
    )
