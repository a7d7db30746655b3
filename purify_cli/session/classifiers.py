"""Tuning, measuring and saving one classifier: the steps that several commands share."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from purify_cli.checkpoint import Checkpoint
from purify_cli.data.batches import Encoded, encode
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.evaluation import Measurement, evaluate_model
from purify_cli.model import LoadedModel, load_tokenizer, pad_id, tokenizer_pad
from purify_cli.model.foreign import check_tokenizer
from purify_cli.progress import Progress
from purify_cli.records.base import ModelFacts, TrainingFacts
from purify_cli.records.evaluation import ModelMeasurement
from purify_cli.session.facts import maybe, proportion, training_facts
from purify_cli.session.opening import Common, some_texts, text_length
from purify_cli.training import CROSS_ENTROPY, Objective, TrainingSettings, train

__all__ = [
    "encoded",
    "measure",
    "measurement_facts",
    "tune",
]


def tune(
    loaded: LoadedModel,
    base: Checkpoint,
    rows: Sequence[Example],
    *,
    settings: TrainingSettings,
    common: Common,
    progress: Progress,
    validation: Sequence[Example] | None = None,
    resume: Path | None = None,
    objective: Objective = CROSS_ENTROPY,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> TrainingFacts:
    """Fine-tune a loaded classifier in place and describe the run.

    ``base`` brings configuration, and the tokenizer where none is given.
    """
    tokenizer = tokenizer or load_tokenizer(base.files, rows=loaded.vocabulary)
    result = train(
        loaded.module,
        encoded(loaded, base, rows, common, tokenizer),
        settings,
        pad_id=pad_id(tokenizer_pad(tokenizer), loaded.module),
        device=common.compute.device,
        validation=encoded(loaded, base, validation, common, tokenizer) if validation else None,
        resume=resume,
        objective=objective,
        progress=progress,
    )
    return training_facts(settings, result)


def encoded(
    loaded: LoadedModel,
    base: Checkpoint,
    rows: Sequence[Example],
    common: Common,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[Encoded]:
    """Encode rows for a classifier; ``base`` brings configuration, and the tokenizer where none is given.

    Raises:
        DataError: If a token is beyond the word embedding.
    """
    check_tokenizer(base.files, some_texts(rows))
    tokenizer = tokenizer or load_tokenizer(base.files, rows=loaded.vocabulary)
    return encode(tokenizer, rows, max_length=text_length(base, common))


def measure(
    loaded: LoadedModel,
    base: Checkpoint,
    rows: Sequence[Example],
    common: Common,
    *,
    trigger: Trigger | None = None,
    target: int | None = None,
    bias: bool = False,
    carrying: Sequence[Example] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Measurement:
    """Evaluate a loaded classifier on labelled rows, with the trigger (or rows that carry it) where one is known.

    ``base`` brings configuration, and the tokenizer where none is given.
    """
    return evaluate_model(
        loaded.module,
        tokenizer or load_tokenizer(base.files, rows=loaded.vocabulary),
        rows,
        trigger=trigger,
        target=target,
        max_length=text_length(base, common),
        batch_size=common.compute.batch_size,
        seed=common.compute.seed,
        bias=bias,
        carrying=carrying,
        device=common.compute.device,
        dtype=common.compute.dtype,
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
