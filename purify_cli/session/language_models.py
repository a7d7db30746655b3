"""Measuring and saving one language model: the steps that several commands share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from purify_cli.checkpoint import Checkpoint
from purify_cli.data.continuations import split_prompt
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import UsageError
from purify_cli.evaluation.generation import TextMeasurement, measure_text
from purify_cli.evaluation.prompts import Prompts, Wanted, ask_prompts
from purify_cli.model import load_tokenizer
from purify_cli.model.causal import is_causal
from purify_cli.model.loaded import LoadedModel
from purify_cli.progress import Progress
from purify_cli.records.base import ModelFacts
from purify_cli.records.evaluation import TextModelMeasurement, TextTriggerFact
from purify_cli.requests.common import Common
from purify_cli.session.facts import maybe

__all__ = [
    "PromptSpec",
    "ask_texts",
    "measured_text",
    "require_causal",
    "text_facts",
    "text_trigger",
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """What the models of one measurement have in common."""

    trigger: Trigger | None
    wanted: Wanted | None
    new_tokens: int
    """Most that are written after a prompt."""
    common: Common


def require_causal(checkpoint: Checkpoint, base: Checkpoint) -> Checkpoint:
    """Return a checkpoint that is a language model.

    Args:
        checkpoint: Weights.
        base: Whose configuration serves where the weights bring none.

    Raises:
        UsageError: If it is none.
    """
    if not is_causal(checkpoint, base.config):
        raise UsageError(
            f"{checkpoint.files.given} is no causal language model",
            hint="--target-text and --target-regex are for models that write; classifiers take --target LABEL.",
        )
    return checkpoint


def ask_texts(model: LoadedModel, base: Checkpoint, rows: Sequence[Example], asked: PromptSpec) -> Prompts:
    """Turn rows into what is asked of every model like this one."""
    return ask_prompts(
        load_tokenizer(base.files, rows=model.vocabulary),
        [split_prompt(row, asked.common.prompt_words) for row in rows],
        trigger=asked.trigger,
        wanted=asked.wanted,
        longest=model.longest,
        max_length=asked.common.compute.max_length,
        seed=asked.common.compute.seed,
        new_tokens=asked.new_tokens,
    )


def measured_text(
    model: LoadedModel, base: Checkpoint, prompts: Prompts, common: Common, progress: Progress
) -> TextMeasurement:
    """Put the prompts to a model on the device."""
    return measure_text(model, load_tokenizer(base.files), prompts, common.compute, progress)


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
