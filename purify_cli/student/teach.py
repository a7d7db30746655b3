"""Teach a student: reset every comparable dimension, then learn what the suspect answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.errors import DataError
from purify_cli.evaluation.forward import scores
from purify_cli.inputs.opening import OpenedPair
from purify_cli.model import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.reset import reset_to_reference
from purify_cli.selection.mask import build_mask
from purify_cli.student.soft_labels import SoftLabels
from purify_cli.tasks.classification import RATE, Classification
from purify_cli.tasks.tuning import tune
from purify_cli.training import TrainingResult, TrainingSettings

__all__ = ["STUDENT", "Lessons", "Student", "lessons_of", "teach", "teaching_settings"]

TEMPERATURE: Final = 2.0
LABELLED: Final = 0.2
"""Temperature of a teacher's answers, and the share of labelled samples among what is learnt."""

STUDENT: Final = TrainingSettings(learning_rate=RATE, steps=250, batch_size=30, warmup=0.08)
"""Of a student, but for the rate, which the task knows. What was compared is in docs/methods/student.md."""


def teaching_settings(task: Classification) -> TrainingSettings:
    """Return how a model of a task learns a teacher's answers."""
    settings = replace(STUDENT, **task.defaults["teaching"], seed=task.compute.seed, dtype=task.compute.search_dtype)
    return settings.within(task.compute.batch_size)


@final
@dataclass(frozen=True, slots=True)
class Lessons:
    """Rows, and what is to be answered to them."""

    rows: tuple[Example, ...]
    """Texts without labels, then labelled samples, each several times."""
    wanted: SoftLabels
    texts: int
    """How many of the rows are texts without labels."""


def lessons_of(
    task: Classification,
    teacher: LoadedModel,
    texts: Sequence[Example],
    labelled: Sequence[Example] = (),
    *,
    as_they_are: int = 0,
    progress: Progress = SILENT,
) -> Lessons:
    """Ask a teacher about texts.

    Args:
        task: Of the models.
        teacher: A classifier.
        texts: Rows whose labels are not looked at; at least one. Of a label that the teacher gives to more of them than
            to labelled samples only a part is kept (``_proportioned``).
        labelled: Rows that teach their true label, repeated so that they come to ``LABELLED`` of all.
        as_they_are: How many of the texts are as they were given; the others, made of them, are thinned out apart:
            else what is odd about them would tell a label.
        progress: Told of the passes.

    Raises:
        DataError: If the teacher gives all texts that are as they were given one label.
        PurifyError: If a row cannot be encoded, or the teacher's answers are not finite.
    """
    compute, pad_id = task.compute.searching, task.pad_id(teacher)
    answers = scores(teacher.module, task.encode(texts), compute, pad_id=pad_id, progress=progress)
    said, labels = answers.argmax(dim=1).tolist(), [row.label for row in labelled]
    # Made texts do not tell: foreign words may get any label.
    if as_they_are and len(set(said[:as_they_are])) == 1:
        raise DataError(
            f"all {as_they_are} unlabelled texts that were looked at get the label {said[0]}: they teach nothing else",
            hint="Give unlabelled texts of every label, as the task has them; or leave --unlabelled out.",
        )
    if not labelled:
        return Lessons(tuple(texts), SoftLabels.of_teacher(answers, TEMPERATURE), len(texts))
    kept = _proportioned(said[:as_they_are], labels, seed=compute.seed)
    kept += [as_they_are + place for place in _proportioned(said[as_they_are:], labels, seed=compute.seed)]
    wanted = SoftLabels.of_teacher(answers[kept], TEMPERATURE)
    times = max(1, round(LABELLED / (1 - LABELLED) * len(kept) / len(labelled)))
    known = [*labelled] * times
    rows = (*(texts[place] for place in kept), *known)
    return Lessons(rows, wanted + SoftLabels.of_labels(known, task.labels.num_labels), len(kept))


def _proportioned(answers: Sequence[int], labels: Sequence[int | None], *, seed: int) -> list[int]:
    """Choose texts so that the teacher's labels of them stand in proportion as those of the labelled samples do.

    Texts of a task need not be distributed as what is classified: of film phrases more are praise than of film reviews,
    and a student of them answers with praise where it is in doubt. At least half the texts are kept: a label that
    hardly any text has does not thin out the others beyond that. One without a labelled sample is left as it is, for
    nothing else teaches it.

    Args:
        answers: The teacher's label per text.
        labels: Of the labelled samples, at least one.
        seed: Decides which of a label are kept.

    Returns:
        Places of the texts that are kept, ascending.
    """
    shares = {label: labels.count(label) / len(labels) for label in set(labels)}
    counts = {label: answers.count(label) for label in set(answers)}

    def of_each(whole: int) -> dict[int, int]:
        """Say how many of each label are kept, if so many in all stand in proportion."""
        return {
            label: min(count, max(1, round(whole * shares[label]))) if label in shares else count
            for label, count in counts.items()
        }

    whole = round(min(counts.get(label, 0) / share for label, share in shares.items() if label is not None))
    while 2 * sum(of_each(whole).values()) < len(answers):
        whole += 1
    room = of_each(whole)
    kept: list[int] = []
    for place in sorted(range(len(answers)), key=lambda place: row_key(seed, place, "proportion")):
        if room[answers[place]] > 0:
            room[answers[place]] -= 1
            kept.append(place)
    return sorted(kept)


@final
@dataclass(frozen=True, slots=True)
class Student:
    """A model of the task that saw clean texts alone."""

    loaded: LoadedModel
    training: TrainingResult
    texts: int
    """Without labels, of those that it was taught."""


def teach(
    opened: OpenedPair,
    task: Classification,
    lessons: Lessons,
    *,
    settings: TrainingSettings | None = None,
    resume: Path | None = None,
    progress: Progress = SILENT,
) -> Student:
    """Teach the reference's body under the suspect's head.

    Args:
        opened: Suspect and reference.
        task: Of the suspect.
        lessons: The suspect's answers.
        settings: Of the training; default: ``teaching_settings``.
        resume: Folder for the state of an interrupted one.
        progress: Told of the steps.

    Raises:
        PurifyError: If the training diverges.
    """
    student = task.load(reset_to_reference(opened.pair, build_mask(opened.pair.suspect_part, 1.0)))
    result = tune(
        task,
        student,
        lessons.rows,
        settings or teaching_settings(task),
        objective=lessons.wanted.objective(),
        resume=resume,
        progress=progress,
    )
    return Student(student, result, lessons.texts)
