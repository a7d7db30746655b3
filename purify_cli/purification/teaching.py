"""Fine-tuning with a teacher, whose answers on texts of the task are learnt, or how its layers weigh their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from purify_cli.data.example import Example
from purify_cli.errors import UsageError
from purify_cli.model import LoadedModel
from purify_cli.purification.augment import carrying, with_neutral_phrase
from purify_cli.purification.plan import Composition
from purify_cli.purification.stages import RepairedModel
from purify_cli.student.anchor import anchored
from purify_cli.student.attention_maps import attention_distilled
from purify_cli.student.teach import Lessons
from purify_cli.tasks.classification import Classification
from purify_cli.training import TrainingResult, TrainingSettings
from purify_cli.trigger_search.found import FoundTrigger

if TYPE_CHECKING:
    from purify_cli.purification.repair_session import RepairSession

__all__ = ["AttentionTuning", "TeacherTuning", "with_teacher"]


def with_teacher(
    session: "RepairSession", composition: Composition, triggers: Sequence[FoundTrigger]
) -> "TeacherTuning | AttentionTuning | None":
    """Return how a composition learns from a teacher; None where it has none.

    Args:
        session: The pair; with unlabelled texts everything that has no teacher of its own has a student.
        composition: The method.
        triggers: To stand in what is taught.

    Raises:
        UsageError: As ``TeacherTuning`` and ``AttentionTuning``.
    """
    teacher = composition.teacher or ("student" if session.texts else None)
    if teacher is None:
        return None
    if teacher == "fine-tuned":
        return AttentionTuning(session, composition)
    return TeacherTuning(session, composition, teacher, triggers)


def _refuse_patience(training: TrainingSettings) -> None:
    if training.patience is not None:
        raise UsageError(
            "--set patience chooses steps on labelled samples, and here a teacher's answers are learnt as well",
            hint="Leave it out, or give --set steps=N.",
        )


@final
@dataclass(frozen=True, slots=True)
class AttentionTuning:
    """The suspect's own fine-tuned copy teaches it how its layers weigh the tokens of clean samples."""

    session: "RepairSession"
    composition: Composition

    def __post_init__(self) -> None:
        """Refuse what it has no use for.

        Raises:
            UsageError: If patience was asked for, there are unlabelled texts, or the suspect is no classifier.
        """
        self.session.classifiers(self.composition.method)
        _refuse_patience(self.composition.training)
        if self.session.texts is not None:
            raise UsageError(
                f"{self.composition.method} learns from clean samples alone",
                hint="Leave --unlabelled out, or choose another --method; see `purify methods`.",
            )

    def tune(
        self,
        repaired: RepairedModel,
        rows: Sequence[Example],
        *,
        labelled: Sequence[Example],
        training: TrainingSettings | None = None,
        resume: Path | None = None,
    ) -> tuple[LoadedModel, TrainingResult]:
        """Fine-tune a copy, then the weights beside it; as ``TeacherTuning.tune``."""
        del rows
        session, settings = self.session, training or self.composition.training
        teacher, loaded = (session.task.load(repaired.weights) for _ in range(2))
        session.tune(teacher, labelled, settings, repaired)
        objective = attention_distilled(teacher.module.eval())
        return loaded, session.tune(loaded, labelled, settings, repaired, objective=objective, resume=resume)


@final
@dataclass(frozen=True, slots=True)
class TeacherTuning:
    """Who teaches what came of a reset."""

    session: "RepairSession"
    composition: Composition
    teacher: Literal["suspect", "student"]
    """The suspect itself, where nothing of its weights is kept; else a student."""
    triggers: Sequence[FoundTrigger]
    """Found ones; every second text carries one, and is to be answered as it is without."""

    def __post_init__(self) -> None:
        """Refuse what chooses steps on labelled samples alone.

        Raises:
            UsageError: If patience was asked for.
        """
        _refuse_patience(self.composition.teaching)

    def tune(
        self,
        repaired: RepairedModel,
        rows: Sequence[Example],
        *,
        labelled: Sequence[Example],
        training: TrainingSettings | None = None,
        resume: Path | None = None,
    ) -> tuple[LoadedModel, TrainingResult]:
        """Load reset weights and tune them.

        Args:
            repaired: The weights, and what stays as it is.
            rows: Clean samples that a student may learn from.
            labelled: Rows that teach their true label.
            training: Default: the composition's own.
            resume: Folder for the state of an interrupted training.

        Raises:
            UsageError: If the suspect is no classifier.
            PurifyError: If a row cannot be encoded, or a training diverges.
        """
        lessons = self._lessons(rows, labelled)  # before the model is loaded: the teacher takes memory as well
        loaded, objective = self.session.task.load(repaired.weights), lessons.wanted.objective()
        if self.composition.anchor:
            objective = anchored(objective, loaded, self.session.opened.pair, self.composition.anchor)
        settings = training or self.composition.teaching
        return loaded, self.session.tune(loaded, lessons.rows, settings, repaired, objective=objective, resume=resume)

    def _lessons(self, rows: Sequence[Example], labelled: Sequence[Example]) -> Lessons:
        session, task = self.session, self.session.classifiers("a teacher")
        if self.teacher == "suspect":
            suspect = task.load(session.opened.pair.suspect)
            lessons = session.lessons(suspect, session.teaching_texts(rows), labelled)
        else:
            lessons = session.lessons_by_student(rows, labelled)
        carried = [self._carrying(task, row, place) for place, row in enumerate(lessons.rows[: lessons.texts])]
        return replace(lessons, rows=(*carried, *lessons.rows[lessons.texts :]))

    def _carrying(self, task: Classification, row: Example, place: int) -> Example:
        """Let every second text carry what was found, and others a phrase that says nothing, under the same answer."""
        if self.triggers and place % 2:
            return carrying(task, row, place // 2, self.triggers)
        return with_neutral_phrase(task, row, place)
