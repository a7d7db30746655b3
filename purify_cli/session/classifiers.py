"""Tuning, measuring and saving one classifier: the steps that several commands share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from purify_cli.checkpoint import Checkpoint, open_checkpoint, write_model
from purify_cli.checkpoint.places import storage_errors
from purify_cli.checkpoint.unique import copies_of
from purify_cli.data.batches import Encoded, encode
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.evaluation import Measurement, evaluate_model
from purify_cli.evidence.verdict import MISSED_AT
from purify_cli.measures.intervals import Proportion
from purify_cli.model import Loaded, classifier_config, current_weights, load_tokenizer, pad_id, tokenizer_pad
from purify_cli.model.foreign import check_tokenizer
from purify_cli.model.reading import Reading
from purify_cli.progress import Progress
from purify_cli.records.base import MissFact, ModelFacts, ProportionFact, TrainingFacts
from purify_cli.records.evaluation import ModelMeasurement
from purify_cli.reset import Overlay
from purify_cli.session.opening import Common, some_texts, text_length
from purify_cli.session.ownership import MODEL_METADATA
from purify_cli.tensors import TensorSource
from purify_cli.training import CROSS_ENTROPY, Objective, TrainingSettings, train

__all__ = [
    "encoded",
    "maybe",
    "measure",
    "measurement_facts",
    "miss_fact",
    "overlaid",
    "proportion",
    "save_classifier",
    "tune",
]


def tune(
    loaded: Loaded,
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
        device=common.runtime.device,
        validation=encoded(loaded, base, validation, common, tokenizer) if validation else None,
        resume=resume,
        objective=objective,
        progress=progress,
    )
    return TrainingFacts(
        settings=settings.as_record(),
        steps=result.steps,
        first_loss=result.first_loss,
        last_loss=result.last_loss,
        stopped_early=result.stopped_early,
    )


def encoded(
    loaded: Loaded,
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
    loaded: Loaded,
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
        batch_size=common.batch_size,
        seed=common.runtime.seed,
        bias=bias,
        carrying=carrying,
        device=common.runtime.device,
        dtype=common.runtime.dtype,
    )


def proportion(share: Proportion) -> ProportionFact:
    """Write a share down with its interval."""
    low, high = share.interval
    return ProportionFact(successes=share.successes, total=share.total, value=share.value, low=low, high=high)


def miss_fact(missed: Proportion) -> MissFact:
    """Write down what a search that finds nothing misses, with the settings at which that was counted."""
    low, high = missed.interval
    return MissFact(missed=missed.successes, of=missed.total, low=low, high=high, settings=dict(MISSED_AT))


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


def maybe(share: Proportion | None) -> ProportionFact | None:
    """Write a share down where there is one."""
    return None if share is None else proportion(share)


def overlaid(start: Checkpoint, loaded: Loaded) -> Overlay:
    """Return all tensors of the checkpoint that a classifier was loaded from, with the classifier's present weights.

    A tensor that is stored under several names changes under all of them: a loader takes any one.
    """
    tensors = dict(current_weights(loaded).tensors)
    first = copies_of(start)
    known = {first.get(name, name): tensor for name, tensor in tensors.items()}
    copies = {name: known[first[name]] for name in first if first[name] in known}
    return Overlay(start, copies | tensors)


def save_classifier(
    folder: Path,
    loaded: Loaded,
    *,
    like: Checkpoint,
    base: Checkpoint,
    weights: TensorSource | None = None,
    reading: Reading | None = None,
) -> str:
    """Write a classifier into a staged folder and return the SHA-256 of its weights.

    Args:
        folder: Exists and is empty.
        loaded: Its weights are written unless ``weights`` is given.
        like: Checkpoint whose files, order and metadata are kept.
        base: Brings configuration and tokenizer.
        weights: Weights to write in place of the module's.
        reading: How the model reads texts, where that is with tokens besides those of ``base``.
    """
    # Whoever loads the folder pads with its tokenizer; a decoder classifier must know that id.
    decoder = base.files.tokenizer is not None and hasattr(loaded.module, "score")
    padding = tokenizer_pad(load_tokenizer(base.files)) if decoder else None
    if padding is not None and padding >= loaded.vocabulary:
        padding = None
    write_model(
        folder,
        weights or current_weights(loaded),
        like=like,
        config=classifier_config(base.config or {}, loaded.task, rows=loaded.vocabulary, pad_token_id=padding),
        tokenizer=replace(base.files, tokenizer=None) if reading and reading.kept else base.files,
        metadata=MODEL_METADATA,
    )
    if reading and reading.kept:
        with storage_errors(folder / "tokenizer.json"):
            reading.tokenizer.save_pretrained(folder)
    return open_checkpoint(str(folder)).sha256()
