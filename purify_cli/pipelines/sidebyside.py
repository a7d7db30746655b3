"""Several models, several triggers, the same rows: asked once, answered model by model, compared at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from purify_cli.checkpoint import Checkpoint
from purify_cli.data.example import Example
from purify_cli.data.loading import examples_sha256
from purify_cli.evaluation import Measurement, Question, Triggered, ask, measure_triggered
from purify_cli.evaluation import measure as put
from purify_cli.model import Loaded, Task, load_classifier, load_tokenizer
from purify_cli.pipelines.choices import TriggerChoice
from purify_cli.pipelines.comparison import bias_outcomes, consistency_fact, outcomes, paired, spread, success_outcomes
from purify_cli.pipelines.inputs import Common, model_facts, text_length
from purify_cli.pipelines.models import maybe, measurement_facts, proportion, tune
from purify_cli.pipelines.retune import RetuneChoice, Watched, checkpoints
from purify_cli.progress import SILENT, Progress
from purify_cli.report.schema import (
    ModelFacts,
    ModelMeasurement,
    PairedFact,
    RetuneCurve,
    RetuneFacts,
    RetunePoint,
    TrainingFacts,
    TriggerFact,
)

__all__ = ["Answers", "Asked", "Compared", "Subject", "answer", "ask_all", "compare", "retune_facts"]


@final
@dataclass(frozen=True, slots=True)
class Subject:
    """A model to be measured, opened but not loaded."""

    name: str
    role: Literal["model", "floor", "against"]
    checkpoint: Checkpoint
    base: Checkpoint
    """Brings configuration and tokenizer."""
    task: Task


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every model is asked."""

    choices: tuple[TriggerChoice, ...]
    targets: tuple[int, ...]
    """Label number per choice."""
    rows: tuple[Example, ...]
    """The measured rows."""
    training: tuple[Example, ...]
    """Rows of the retuning test; empty without one."""
    seeds: tuple[int, ...]
    """Of random trigger positions; the first is what tables show."""
    keep_logits: bool
    questions: Mapping[str, tuple[tuple[Question, ...], ...]]
    """Per source of the tokenizer: per choice, per seed. Without a choice, one question about accuracy."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one model did."""

    subject: Subject
    model: ModelFacts
    measured: tuple[Measurement, ...]
    """Per choice; one without a choice."""
    others: tuple[tuple[Triggered, ...], ...]
    """Per choice: under the other seeds."""
    curve: Mapping[int, Measurement]
    """Step of the retuning test → measurement; empty without one."""
    training: TrainingFacts | None


@final
@dataclass(frozen=True, slots=True)
class Compared:
    """Models side by side under one trigger, or without one."""

    trigger: TriggerFact | None
    models: list[ModelMeasurement]
    floor: ModelMeasurement | None


def ask_all(
    subjects: Sequence[Subject],
    rows: Sequence[Example],
    *,
    choices: Sequence[TriggerChoice],
    targets: Sequence[int],
    carrying: Sequence[Sequence[Example] | None],
    seeds: Sequence[int],
    common: Common,
) -> dict[str, tuple[tuple[Question, ...], ...]]:
    """Ask once per tokenizer.

    Raises:
        DataError: If rows or trigger cannot be used.
    """
    found: dict[str, tuple[tuple[Question, ...], ...]] = {}
    for subject in subjects:
        base = subject.base
        if base.files.given in found:
            continue
        tokenizer, length = load_tokenizer(base.files), text_length(base, common)
        if not choices:
            plain = ask(tokenizer, rows, trigger=None, target=None, max_length=length, seed=seeds[0])
            found[base.files.given] = ((plain,),)
            continue
        found[base.files.given] = tuple(
            tuple(
                ask(
                    tokenizer,
                    rows,
                    trigger=choice.trigger,
                    target=target,
                    max_length=length,
                    seed=seed,
                    bias=choice.bias,
                    carrying=carried,
                )
                for seed in (seeds if choice.varies else seeds[:1])
            )
            for choice, target, carried in zip(choices, targets, carrying, strict=True)
        )
    return found


def answer(
    subject: Subject, asked: Asked, common: Common, *, retune: RetuneChoice | None, progress: Progress
) -> Answers:
    """Load one model, put all questions to it, and fine-tune it again where that is asked for.

    Raises:
        PurifyError: If the model cannot be loaded, measured or trained.
    """
    base, runtime = subject.base, common.runtime
    loaded = load_classifier(subject.checkpoint, config=base.config or {}, task=subject.task, device=runtime.device)
    measured: list[Measurement] = []
    others: list[tuple[Triggered, ...]] = []
    for first, *rest in asked.questions[base.files.given]:
        known = measured[0] if measured else None
        measured.append(_put(loaded, first, common, keep_logits=asked.keep_logits, known=known))
        others.append(
            tuple(
                measure_triggered(
                    loaded.module,
                    question,
                    batch_size=common.batch_size,
                    device=runtime.device,
                    dtype=runtime.dtype,
                )
                for question in rest
            )
        )
        if subject.role == "against":
            break
    curve: dict[int, Measurement] = {}
    training: TrainingFacts | None = None
    if retune is not None and subject.role != "against":
        progress.note(f"{subject.name}: fine-tuning again on {len(asked.training)} rows, half of them poisoned")
        question = asked.questions[base.files.given][0][0]
        watched = Watched(loaded.module, checkpoints(retune.steps), lambda: _put(loaded, question, common))
        training = tune(
            loaded,
            base,
            asked.training,
            settings=retune.settings(seed=runtime.seed, dtype=runtime.dtype),
            common=common,
            progress=SILENT,  # a bar inside the bar over models
            objective=watched,
        )
        curve = {0: measured[0]} | watched.seen
    return Answers(
        subject=subject,
        model=model_facts(subject.checkpoint),
        measured=tuple(measured),
        others=tuple(others),
        curve=curve,
        training=training,
    )


def compare(asked: Asked, answers: Sequence[Answers], seed: int) -> list[Compared]:
    """Turn answers into facts, one table per trigger (one in all without a trigger).

    Args:
        asked: What was asked.
        answers: Of all models, the one of the floor, and the one to be consistent with, in any order.
        seed: Of the bootstrap.
    """
    models = [one for one in answers if one.subject.role == "model"]
    floor = next((one for one in answers if one.subject.role == "floor"), None)
    against = next((one for one in answers if one.subject.role == "against"), models[0])
    tables: list[Compared] = []
    for number in range(max(1, len(asked.choices))):
        facts = [_facts(one, asked, number, first=models[0], floor=floor, against=against, seed=seed) for one in models]
        below = _facts(floor, asked, number, first=floor, floor=None, against=floor, seed=seed) if floor else None
        fact = asked.choices[number].fact(asked.targets[number]) if asked.choices else None
        tables.append(Compared(fact, facts, below))
    return tables


def _facts(
    one: Answers, asked: Asked, number: int, *, first: Answers, floor: Answers | None, against: Answers, seed: int
) -> ModelMeasurement:
    """Write down one model under one trigger, compared with the first, the floor, and the one to be consistent with."""
    measured = one.measured[number]
    question = _question(asked, one, number)
    made = measurement_facts(one.subject.name, one.model, measured)
    success, bias = spread(asked.seeds, measured, one.others[number])
    changes: dict[str, object] = {"success_spread": success, "bias_spread": bias}
    plain = outcomes(measured, question)
    if measured.untriggered_accuracy is not None:
        carried = bias_outcomes(measured.triggered_predictions, question)
        changes["bias_gap"] = paired(plain, carried, against=one.subject.name, seed=seed)
    if one is not first:
        other = outcomes(first.measured[number], _question(asked, first, number))
        changes["accuracy_difference"] = paired(plain, other, against=first.subject.name, seed=seed)
        changes["success_difference"], changes["bias_difference"] = _differences(one, first, asked, number, seed)
    if floor is not None:
        changes["over_floor"], changes["bias_over_floor"] = _differences(one, floor, asked, number, seed)
    if one is not against and asked.keep_logits:
        changes["consistency"] = consistency_fact(
            measured, against.measured[0], against=against.subject.name, seed=seed
        )
    return made.model_copy(update=changes)


def _differences(
    one: Answers, other: Answers, asked: Asked, number: int, seed: int
) -> tuple[PairedFact | None, PairedFact | None]:
    """Compare two models on the rows that carry the trigger: attack success and, of a bias, accuracy."""
    pair = [(a.measured[number].triggered_predictions, _question(asked, a, number)) for a in (one, other)]
    if not all(predictions for predictions, _ in pair):
        return None, None
    name = other.subject.name
    success = paired(*(success_outcomes(*part) for part in pair), against=name, seed=seed)
    if not asked.choices[number].bias:
        return success, None
    return success, paired(*(bias_outcomes(*part) for part in pair), against=name, seed=seed)


def _question(asked: Asked, one: Answers, number: int) -> Question:
    return asked.questions[one.subject.base.files.given][number][0]


def retune_facts(
    choice: RetuneChoice, source: str, asked: Asked, answers: Sequence[Answers], common: Common
) -> RetuneFacts:
    """Write down how fast the attack came back to every model.

    Args:
        choice: What was asked for.
        source: Where the rows come from.
        asked: Its first trigger is the one that was taught.
        answers: With curves.
        common: For seed and dtype.
    """
    floor = next((one for one in answers if one.subject.role == "floor"), None)

    def curve(one: Answers) -> RetuneCurve:
        training = one.training
        return RetuneCurve(
            name=one.subject.name,
            points=[_point(one, floor, step, asked, common.runtime.seed) for step in sorted(one.curve)],
            first_loss=training.first_loss if training else 0.0,
            last_loss=training.last_loss if training else 0.0,
        )

    return RetuneFacts(
        poisoned=choice.rows,
        clean=choice.rows,
        source=source,
        rows_sha256=examples_sha256(asked.training),
        trigger=asked.choices[0].fact(asked.targets[0]),
        training=choice.settings(seed=common.runtime.seed, dtype=common.runtime.dtype).as_record(),
        measured=len(asked.rows),
        curves=[curve(one) for one in answers if one.subject.role == "model"],
        floor=curve(floor) if floor else None,
    )


def _point(one: Answers, floor: Answers | None, step: int, asked: Asked, seed: int) -> RetunePoint:
    measured, over = one.curve[step], None
    if floor is not None and floor is not one:
        mine = success_outcomes(measured.triggered_predictions, _question(asked, one, 0))
        its = success_outcomes(floor.curve[step].triggered_predictions, _question(asked, floor, 0))
        over = paired(mine, its, against=floor.subject.name, seed=seed)
    return RetunePoint(
        step=step,
        accuracy=proportion(measured.accuracy),
        attack_success=maybe(measured.attack_success),
        bias_accuracy=maybe(measured.bias_accuracy),
        over_floor=over,
    )


def _put(
    loaded: Loaded, question: Question, common: Common, *, keep_logits: bool = False, known: Measurement | None = None
) -> Measurement:
    return put(
        loaded.module,
        question,
        batch_size=common.batch_size,
        device=common.runtime.device,
        dtype=common.runtime.dtype,
        keep_logits=keep_logits,
        known=known,
    )
