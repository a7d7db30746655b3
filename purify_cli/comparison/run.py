"""Several models and triggers: what is asked, and what each model answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from purify_cli.checkpoint import Checkpoint
from purify_cli.checkpoint.reordered import reordered
from purify_cli.comparison.retune import RetuneChoice, Watched, checkpoints
from purify_cli.comparison.trigger_options import TriggerChoice
from purify_cli.data.example import Example
from purify_cli.data.tokenizer import limit_ids
from purify_cli.evaluation import Measurement, Question, Triggered, ask, measure_triggered
from purify_cli.evaluation import measure as put
from purify_cli.inputs.identity import ModelFacts, model_facts
from purify_cli.inputs.opening import some_texts, text_length
from purify_cli.inputs.task import classification_task
from purify_cli.model import LabelSet, LoadedModel
from purify_cli.model.suspect_tokenizer import SuspectTokenizer
from purify_cli.model.tokenizer_sandbox import check_tokenizer
from purify_cli.progress import SILENT, Progress
from purify_cli.requests.common import Common
from purify_cli.tasks.tuning import tune
from purify_cli.tensors import TensorSource
from purify_cli.training import TrainingResult

__all__ = ["Answers", "EvaluationPlan", "Subject", "answer", "ask_all"]


@final
@dataclass(frozen=True, slots=True)
class Subject:
    """A model to be measured, opened but not loaded."""

    name: str
    role: Literal["model", "floor", "against"]
    checkpoint: Checkpoint
    base: Checkpoint
    """Brings configuration and tokenizer."""
    labels: LabelSet
    reading: SuspectTokenizer
    """How texts become tokens."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """What two subjects must share to be asked the same."""
        return (self.base.files.given, *self.reading.kept)

    @property
    def weights(self) -> TensorSource:
        """All tensors, the rows of a vocabulary in the order of the tokens."""
        order = self.reading.order
        return self.checkpoint if order is None else reordered(self.checkpoint, order)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
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
    questions: Mapping[tuple[str, ...], tuple[tuple[Question, ...], ...]]
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
    training: TrainingResult | None


def ask_all(
    subjects: Sequence[Subject],
    rows: Sequence[Example],
    *,
    triggers: Sequence[tuple[TriggerChoice, int, Sequence[Example] | None]],
    seeds: Sequence[int],
    common: Common,
) -> dict[tuple[str, ...], tuple[tuple[Question, ...], ...]]:
    """Ask once per tokenizer.

    Args:
        subjects: Who is asked.
        rows: What is measured.
        triggers: Each with its label number, and the rows that carry it where it is not put in.
        seeds: Of random places.
        common: Length and seed.

    Raises:
        DataError: If rows or trigger cannot be used.
    """
    found: dict[tuple[str, ...], tuple[tuple[Question, ...], ...]] = {}
    for subject in subjects:
        base = subject.base
        if subject.tokens in found:
            continue
        check_tokenizer(base.files, some_texts(rows))
        tokenizer = subject.reading.tokenizer
        sharing = [one.checkpoint.vocabulary for one in subjects if one.tokens == subject.tokens]
        limit_ids(tokenizer, min((size for size in sharing if size is not None), default=None))
        length = text_length(base, common)
        if not triggers:
            plain = ask(tokenizer, rows, trigger=None, target=None, max_length=length, seed=seeds[0])
            found[subject.tokens] = ((plain,),)
            continue
        found[subject.tokens] = tuple(
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
            for choice, target, carried in triggers
        )
    return found


def answer(
    subject: Subject, asked: EvaluationPlan, common: Common, *, retune: RetuneChoice | None, progress: Progress
) -> Answers:
    """Load one model, put all questions to it, and fine-tune it again where that is asked for.

    Raises:
        PurifyError: If the model cannot be loaded, measured or trained.
    """
    compute = common.compute
    task = classification_task(subject.base, subject.reading.tokenizer, common, subject.labels)
    loaded = task.load(subject.weights)
    measured: list[Measurement] = []
    others: list[tuple[Triggered, ...]] = []
    for first, *rest in asked.questions[subject.tokens]:
        known = measured[0] if measured else None
        measured.append(_put(loaded, first, common, keep_logits=asked.keep_logits, known=known))
        others.append(tuple(measure_triggered(loaded.module, question, compute) for question in rest))
        if subject.role == "against":
            break
    curve: dict[int, Measurement] = {}
    training: TrainingResult | None = None
    if retune is not None and subject.role != "against":
        progress.note(f"{subject.name}: fine-tuning again on {len(asked.training)} rows, half of them poisoned")
        question = asked.questions[subject.tokens][0][0]
        watched = Watched(loaded.module, checkpoints(retune.steps), lambda: _put(loaded, question, common))
        check_tokenizer(subject.base.files, some_texts(asked.training))
        training = tune(
            task,
            loaded,
            asked.training,
            retune.settings(seed=compute.seed, dtype=compute.dtype),
            objective=watched.objective,
            progress=SILENT,  # a bar inside the bar over models
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


def _put(
    loaded: LoadedModel,
    question: Question,
    common: Common,
    *,
    keep_logits: bool = False,
    known: Measurement | None = None,
) -> Measurement:
    return put(loaded.module, question, common.compute, keep_logits=keep_logits, known=known)
