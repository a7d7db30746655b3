"""A suspect beside its reference, ready to be repaired in many ways without reading or measuring anything twice.

Everything that ``purify`` does between opening a pair and writing a model, in memory: one ``RepairSession`` per pair,
one ``PreparedDefence`` per method and set of clean rows, one repair per ratio.
"""

import hashlib
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal, final

from purify_cli.checkpoint import Checkpoint
from purify_cli.checkpoint.places import storage_errors
from purify_cli.checkpoint.staging import locked_aside
from purify_cli.choices import Estimator
from purify_cli.data.example import Example
from purify_cli.data.sampling import examples_sha256
from purify_cli.errors import UsageError
from purify_cli.inputs.curvature_cache import CurvatureData, Measured, Source, curvature_for
from purify_cli.inputs.opening import OpenedPair
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.measures.utility import Utility
from purify_cli.model import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.purification.freezing import objective_for
from purify_cli.purification.further_models import open_others
from purify_cli.purification.plan import plan_stages
from purify_cli.purification.prepared import RATIOS, PreparedDefence
from purify_cli.purification.stages import RepairedModel
from purify_cli.requests.common import Common
from purify_cli.reset import Overlay
from purify_cli.student.teach import Lessons, Student, lessons_of, teach, teaching_settings
from purify_cli.student.texts import TeachingTexts, again_made, made_texts
from purify_cli.tasks.base import Task
from purify_cli.tasks.classification import Classification
from purify_cli.tasks.tuning import tune
from purify_cli.tensors import TensorSource
from purify_cli.training import Objective, TrainingResult, TrainingSettings
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["RATIOS", "PreparedDefence", "RepairSession"]


@final
class RepairSession:
    """A pair, opened once.

    Args:
        opened: Suspect and reference.
        task: Of the suspect.
        common: Batch size, length, device, precision, seed.
        run: Curvatures and scores of its defences lie in it, in a folder of their own, until ``clear``.
        progress: Told of passes and measurements.
        texts: What students are taught on; None, and texts are made of their labelled rows.
    """

    def __init__(
        self,
        opened: OpenedPair,
        task: Task,
        common: Common,
        run: RunFolder,
        progress: Progress = SILENT,
        *,
        texts: TeachingTexts | None = None,
    ) -> None:
        self.opened, self.task, self.common, self.run, self.progress = opened, task, common, run, progress
        self.texts = texts
        self._students: dict[str, Student] = {}
        self._lessons: dict[str, Lessons] = {}
        self._curvatures: dict[tuple[Path, str], Measured] = {}
        self._own = ExitStack()
        self._folder: Path | None = None
        weakref.finalize(self, self._own.close)
        self._others: dict[tuple[str, ...], tuple[Checkpoint, ...]] = {}
        self.baselines: dict[str, Utility] = {}
        """Utility of plain fine-tuning on folds, kept by ``ratio_search`` for the next method on the same samples."""

    @property
    def folder(self) -> Path:
        """Where defences keep what is too large for memory: made when first needed, for this pair alone."""
        if self._folder is None:
            with storage_errors(self.run.path):
                self._folder, _ = self._own.enter_context(locked_aside(self.run.path / "session", folder=True))
        return self._folder

    def others(self, given: Sequence[str]) -> tuple[Checkpoint, ...]:
        """Open further suspects, once: what a record says of them is then said of what was read.

        Raises:
            PurifyError: As for ``open_others``.
        """
        key = tuple(given)
        if key not in self._others:
            self._others[key] = open_others(given, self.opened, self.common, self.progress)
        return self._others[key]

    def curvature(self, data: CurvatureData | None, *, path: Path | None) -> Measured:
        """Measure the curvature of the suspect once per set of rows and estimator.

        Args:
            data: What to measure on; None takes whatever the file holds for this pair.
            path: File to keep it in, or to take it from; default: one of its own in ``folder``.
        """
        key = "" if data is None else _digest(examples_sha256(data.rows), data.estimator, data.source)
        path = path or self.folder / f"curvature-{key}.safetensors"
        if (path, key) not in self._curvatures:
            self._curvatures[path, key] = curvature_for(self.opened, self.task, data, path=path, progress=self.progress)
        return self._curvatures[path, key]

    def teaching_texts(self, labelled: Sequence[Example], *, draw: int = 0) -> TeachingTexts:
        """Return the texts that a student, or a repaired model, is taught on beside labelled rows.

        Args:
            labelled: What texts are made of, where none are given.
            draw: Which of the sets of texts that can be made; those that are given stay.
        """
        seed = self.common.compute.seed + draw
        if self.texts is None:
            return made_texts(labelled, seed=seed)
        return again_made(self.texts, seed=seed) if draw else self.texts

    def student(self, labelled: Sequence[Example], *, draw: int = 0) -> Student:
        """Teach the reference what the suspect answers, and the true labels of some rows; once per set of rows.

        Args:
            labelled: Rows.
            draw: Another than 0 is another student, taught at every call: of texts made anew, and in another order.

        Raises:
            UsageError: If the suspect is no classifier.
            PurifyError: If a row cannot be encoded, or the training diverges.
        """
        task, texts = self.classifiers("a student"), self.teaching_texts(labelled, draw=draw)
        key = _digest(examples_sha256(labelled), examples_sha256(texts.rows))
        if not draw and key in self._students:
            return self._students[key]
        self.progress.note(f"teaching a{'nother' if draw else ''} student on {len(texts.rows)} texts ({texts.source})")
        usual = teaching_settings(task)
        taught = teach(
            self.opened,
            task,
            self.lessons(task.load(self.opened.pair.suspect), texts, labelled),
            settings=replace(usual, seed=usual.seed + draw),
            resume=self.run.path / (f"student-{draw}" if draw else "student"),
            progress=self.progress,
        )
        if not draw:
            self._students = {key: taught}
        return taught

    def lessons_by_student(self, rows: Sequence[Example], labelled: Sequence[Example]) -> Lessons:
        """Ask the student of some rows about the texts; once per set of rows, for a student takes long to teach.

        Args:
            rows: Of the student.
            labelled: As for ``lessons``, and so are the errors.
        """
        texts = self.teaching_texts(rows)
        key = _digest(*map(examples_sha256, (rows, labelled, texts.rows)))
        if key not in self._lessons:
            self._lessons[key] = self.lessons(self.student(rows).loaded, texts, labelled)
        return self._lessons[key]

    def lessons(self, teacher: LoadedModel, texts: TeachingTexts, labelled: Sequence[Example]) -> Lessons:
        """Ask a teacher about texts.

        Args:
            teacher: A classifier.
            texts: To be asked about.
            labelled: Rows that teach their true label.

        Raises:
            PurifyError: As for ``lessons_of``.
        """
        task = self.classifiers("a teacher")
        return lessons_of(task, teacher, texts.rows, labelled, as_they_are=texts.as_they_are, progress=self.progress)

    def classifiers(self, what: str) -> Classification:
        """Return the task where it is that of classifiers.

        Args:
            what: Is for them alone.

        Raises:
            UsageError: If it is another.
        """
        if not isinstance(self.task, Classification):
            raise UsageError(f"{what} is for classifiers alone", hint="See `purify methods` for what else there is.")
        return self.task

    def prepare(
        self,
        method: str,
        rows: Sequence[Example],
        *,
        indicator: str | None = None,
        estimator: Estimator = "auto",
        settings: Mapping[str, str] | None = None,
        others: Sequence[str] = (),
        triggers: Sequence[FoundTrigger] = (),
        source: Source = "clean data",
        store: Literal["bench", "run"] = "bench",
    ) -> PreparedDefence:
        """Prepare a method, or several separated by commas, on some rows.

        Args:
            method: Names from ``METHODS``; each works on the weights that the one before left.
            rows: Samples for curvature and for methods that look at texts; may be empty where nothing needs any.
            indicator: Scores the dimensions in place of the method's own.
            estimator: Of the curvature.
            settings: As given by ``--set``; also those of the fine-tuning.
            others: Further suspects, for methods that take them.
            triggers: Words that were found to be planted, for methods that work on them.
            source: What the rows are.
            store: ``run`` keeps curvature and scores under the run folder's own names, and takes a curvature that is
                there; ``bench`` keeps them apart, the scores only as long as the defence lives.

        Raises:
            PurifyError: If a name, a setting or a further model cannot be used.
        """
        composition = plan_stages(
            method,
            self.common,
            indicator=indicator,
            settings=settings,
            others=others,
            defaults=self.task.defaults,
        )
        return PreparedDefence(
            self,
            composition,
            data=CurvatureData(rows, source, estimator) if rows else None,
            others=self.others(others),
            triggers=triggers,
            store=store,
        )

    def tune(
        self,
        loaded: LoadedModel,
        rows: Sequence[Example],
        training: TrainingSettings,
        repaired: RepairedModel,
        *,
        validation: Sequence[Example] = (),
        objective: Objective | None = None,
        resume: Path | None = None,
    ) -> TrainingResult:
        """Fine-tune a loaded model in place, entries that the repair froze aside."""
        return tune(
            self.task,
            loaded,
            rows,
            training,
            validation=validation,
            objective=objective_for(loaded, repaired.frozen, objective or self.task.objective),
            resume=resume,
            progress=self.progress,
        )

    def tuned_weights(self, weights: TensorSource, loaded: LoadedModel) -> TensorSource:
        """Return all tensors of the suspect's files after fine-tuning, second copies of tied ones included.

        Args:
            weights: Before it.
            loaded: After it.
        """
        tensors = dict(loaded.weights.tensors)
        tied = self.opened.pair.tied
        tensors |= {copy: tensors[name] for copy, name in tied.items() if name in tensors}
        return Overlay(weights, tensors)

    def clear(self) -> None:
        """Remove ``folder`` with the curvatures that defences left in it."""
        self._curvatures.clear()
        self._own.close()
        self._folder = None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
