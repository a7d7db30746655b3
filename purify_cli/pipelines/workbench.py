"""A suspect beside its reference, ready to be repaired in many ways without reading or measuring anything twice.

Everything that ``purify`` does between opening a pair and writing a model, in memory: one ``Workbench`` per pair, one
``Treatment`` per method and set of clean rows, one repair per ratio.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, final

from purify_cli.checkpoint import CheckpointPair
from purify_cli.data.batches import Encoded, encode
from purify_cli.data.example import Example
from purify_cli.data.sampling import examples_sha256
from purify_cli.errors import UsageError
from purify_cli.measures.intervals import Proportion
from purify_cli.model import Loaded, Task, current_weights, load_classifier, load_tokenizer, pad_id, tokenizer_pad
from purify_cli.pipelines.frozen import objective_for
from purify_cli.pipelines.inputs import Common, Opened, text_length
from purify_cli.pipelines.others import open_others
from purify_cli.pipelines.plan import Stage, plan_stages
from purify_cli.pipelines.repair import Outcome, Repaired, reset_scored, set_by_rework, summed, untouched
from purify_cli.pipelines.run_folder import RunFolder
from purify_cli.pipelines.scoring import ClassifierData, Estimator, Measured, Scored, curvature_for, score_pair
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Prepared, Repair, ReworkInputs
from purify_cli.report.schema import TrainingFacts
from purify_cli.reset import Overlay
from purify_cli.tensors import TensorSource
from purify_cli.training import TrainingSettings, train

__all__ = ["RATIOS", "Treatment", "Workbench"]

RATIOS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Ratios that a search tries, ascending. Ours: steps of a tenth, as published sweeps have them, and one below."""

Source = Literal["clean data", "unlabelled data", "built-in probes"]


@final
class Workbench:
    """A pair, opened once.

    Args:
        opened: Suspect and reference.
        task: Of the suspect's head.
        common: Batch size, length, device, precision, seed.
        run: Curvatures and scores of its treatments lie in it, in the folder ``bench``, until ``clear``.
        progress: Told of passes and measurements.
    """

    def __init__(self, opened: Opened, task: Task, common: Common, run: RunFolder, progress: Progress = SILENT) -> None:
        self.opened, self.task, self.common, self.run, self.progress = opened, task, common, run, progress
        self._curvatures: dict[tuple[Path, str], Measured] = {}
        self.baselines: dict[str, Proportion] = {}
        """Accuracy of plain fine-tuning on folds, kept by ``ratio`` for the next method on the same samples."""

    @property
    def folder(self) -> Path:
        """Where treatments keep what is too large for memory."""
        return self.run.path / "bench"

    @cached_property
    def padding(self) -> int:
        """Token id of the padding, where the tokenizer has one."""
        return tokenizer_pad(self.tokenizer)

    @cached_property
    def tokenizer(self):
        """The reference's tokenizer."""
        return load_tokenizer(self.opened.reference.files)

    @cached_property
    def max_length(self) -> int:
        """Most tokens per text."""
        return text_length(self.opened.reference, self.common)

    def encoded(self, rows: Sequence[Example]) -> list[Encoded]:
        """Turn rows into what the model gets."""
        return encode(self.tokenizer, rows, max_length=self.max_length)

    def load(self, weights: TensorSource) -> Loaded:
        """Build a classifier of its own on the device."""
        config = self.opened.reference.config or {}
        return load_classifier(weights, config=config, task=self.task, device=self.common.runtime.device)

    def pad_id(self, loaded: Loaded) -> int:
        """Return the token id that a loaded classifier is padded with."""
        return pad_id(self.padding, loaded.module)

    def curvature(
        self, data: ClassifierData | None, stage: Stage, *, path: Path | None, progress: Progress
    ) -> Measured | None:
        """Measure the curvature of the suspect once per set of rows and estimator.

        Args:
            data: What to measure on; None takes whatever the file holds for this pair.
            stage: Whose indicator asks.
            path: File to keep it in, or to take it from; default: one of its own in ``folder``.
            progress: Told of the measurement.
        """
        assert stage.indicator is not None  # only scored stages have curvature
        key = "" if data is None else _digest(examples_sha256(data.rows), data.estimator, data.source)
        path = path or self.folder / f"curvature-{key}.safetensors"
        measured = curvature_for(
            self.opened,
            data,
            stage.indicator,
            stage.settings,
            path=path,
            common=self.common,
            progress=progress,
            known=self._curvatures.get((path, key)),
        )
        if measured is not None:
            self._curvatures[path, key] = measured
        return measured

    def treatment(
        self,
        method: str,
        rows: Sequence[Example],
        *,
        indicator: str | None = None,
        estimator: Estimator = "auto",
        settings: Mapping[str, str] | None = None,
        others: Sequence[str] = (),
        source: Source = "clean data",
        store: Literal["bench", "run"] = "bench",
    ) -> "Treatment":
        """Prepare a method, or several separated by commas, on some rows.

        Args:
            method: Names from ``METHODS``; each works on the weights that the one before left.
            rows: Samples for curvature and for methods that look at texts; may be empty where nothing needs any.
            indicator: Scores the dimensions in place of the method's own.
            estimator: Of the curvature.
            settings: As given by ``--set``; also those of the fine-tuning.
            others: Further suspects, for methods that take them.
            source: What the rows are.
            store: ``run`` keeps curvature and scores under the run folder's own names, and takes a curvature that is
                there; ``bench`` keeps them apart, the scores only as long as the treatment lives.

        Raises:
            PurifyError: If a name, a setting or a further model cannot be used.
        """
        stages, training = plan_stages(method, self.common, indicator=indicator, settings=settings, others=others)
        return Treatment(
            self,
            method,
            stages,
            training,
            data=ClassifierData(rows, self.task, source, estimator) if rows else None,
            others=open_others(others, self.opened, self.common, self.progress),
            store=store,
        )

    def tune(
        self,
        loaded: Loaded,
        rows: Sequence[Example],
        training: TrainingSettings,
        repaired: Repaired,
        *,
        validation: Sequence[Example] = (),
        resume: Path | None = None,
        progress: Progress = SILENT,
    ) -> TrainingFacts:
        """Fine-tune a loaded classifier in place, entries that the repair froze aside."""
        result = train(
            loaded.module,
            self.encoded(rows),
            training,
            pad_id=self.pad_id(loaded),
            device=self.common.runtime.device,
            validation=self.encoded(validation) if validation else None,
            resume=resume,
            objective=objective_for(loaded, repaired.frozen),
            progress=progress,
        )
        return TrainingFacts(
            settings=training.as_record(),
            steps=result.steps,
            first_loss=result.first_loss,
            last_loss=result.last_loss,
            stopped_early=result.stopped_early,
        )

    def tuned_weights(self, repaired: Repaired, loaded: Loaded) -> TensorSource:
        """Return all tensors of the suspect's files after fine-tuning, second copies of tied ones included."""
        tensors = dict(current_weights(loaded).tensors)
        tied = self.opened.pair.tied
        tensors |= {copy: tensors[name] for copy, name in tied.items() if name in tensors}
        return Overlay(repaired.weights, tensors)

    def clear(self) -> None:
        """Remove the curvatures that treatments left in ``folder``."""
        self._curvatures.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


@final
class Treatment:
    """A method on a suspect and some rows; made by ``Workbench.treatment``.

    What does not depend on the ratio (curvature, scores, the weights of earlier stages) is settled when it is first
    needed and kept.
    """

    def __init__(
        self,
        bench: Workbench,
        method: str,
        stages: tuple[Stage, ...],
        training: TrainingSettings,
        *,
        data: ClassifierData | None,
        others: Sequence[TensorSource],
        store: Literal["bench", "run"],
    ) -> None:
        self.bench, self.method, self.stages, self.training = bench, method, stages, training
        self._data, self._others, self._store = data, others, store
        self._leader = next((i for i, stage in enumerate(stages) if stage.ratio is not None), None)
        self._settled: list[Outcome] = []
        self._ready: Scored | Prepared | None = None

    @property
    def default_ratio(self) -> float | None:
        """Ratio of the stage that takes one; None if none does."""
        return None if self._leader is None else self.stages[self._leader].ratio

    @property
    def ratios(self) -> tuple[float, ...]:
        """What a search for the ratio tries, ascending; empty where no stage takes a ratio."""
        return () if self._leader is None else RATIOS

    @property
    def scored(self) -> Scored | None:
        """Scores of the stage that takes the ratio, with what the records say of them and of the curvature."""
        stage = None if self._leader is None else self.stages[self._leader]
        if stage is None or not isinstance(stage.row, Repair):
            return None
        ready = self._leader_ready(self.bench.progress)
        assert isinstance(ready, Scored)  # a scored stage is prepared by scoring
        return ready

    @property
    def scores(self) -> TensorSource | None:
        """Scores of the stage that takes the ratio; None where it scores nothing."""
        return self.scored.scores if self.scored else None

    def reset(self, ratio: float | None, progress: Progress = SILENT) -> Repaired:
        """Make the weights for a ratio; None is the default one.

        Raises:
            UsageError: If a ratio is given and no stage takes one.
        """
        if self._leader is None and ratio:
            raise UsageError(f"{self.method} takes no ratio", hint="Leave the ratio out.")
        chosen = self.default_ratio if ratio is None else ratio
        outcomes: list[Outcome] = []
        for place, stage in enumerate(self.stages):
            if place == self._leader:
                outcomes.append(self._led(stage, chosen or 0.0, progress))
            elif self._leader is None or place < self._leader:
                outcomes.append(self._before(place, progress))
            else:
                outcomes.append(self._applied(stage, outcomes[-1].weights, progress))
        leading = None if self._leader is None else outcomes[self._leader]
        scored = self._ready if isinstance(self._ready, Scored) and chosen else None
        return summed(self.bench.opened, outcomes, leading, scored)

    def repair(
        self,
        ratio: float | None,
        rows: Sequence[Example],
        *,
        training: TrainingSettings | None = None,
        validation: Sequence[Example] = (),
        resume: Path | None = None,
        progress: Progress = SILENT,
    ) -> tuple[Loaded, Repaired, TrainingFacts | None]:
        """Reset, load and fine-tune in memory; nothing is written.

        Args:
            ratio: As for ``reset``.
            rows: To tune on; none leaves the reset model as it is.
            training: Default: the treatment's own.
            validation: Rows that choose the step, where patience is set.
            resume: Folder for the state of an interrupted training.
            progress: Told of each step.

        Returns:
            The classifier, the weights before tuning with what was done to them, and how the tuning went.
        """
        repaired = self.reset(ratio, progress)
        loaded = self.bench.load(repaired.weights)
        if not rows:
            return loaded, repaired, None
        facts = self.bench.tune(
            loaded, rows, training or self.training, repaired, validation=validation, resume=resume, progress=progress
        )
        return loaded, repaired, facts

    def _pair(self, weights: TensorSource) -> CheckpointPair:
        """Compare weights of an earlier stage: what it put back has no drift."""
        return replace(self.bench.opened.pair, suspect=weights)

    def _weights_before(self, place: int, progress: Progress) -> TensorSource:
        return self._before(place - 1, progress).weights if place else self.bench.opened.pair.suspect

    def _before(self, place: int, progress: Progress) -> Outcome:
        """Return the outcome of a stage that no ratio reaches; made once."""
        while len(self._settled) <= place:
            at = len(self._settled)
            weights = self._settled[-1].weights if at else self.bench.opened.pair.suspect
            self._settled.append(self._applied(self.stages[at], weights, progress))
        return self._settled[place]

    def _led(self, stage: Stage, ratio: float, progress: Progress) -> Outcome:
        """Apply the stage that takes the ratio."""
        assert self._leader is not None
        weights = self._weights_before(self._leader, progress)
        if not isinstance(stage.row, Repair):
            return self._reworked(stage, weights, self._leader_ready(progress), ratio)
        if ratio == 0:
            return untouched(weights, stage.method, ratio)
        ready = self._leader_ready(progress)
        assert isinstance(ready, Scored)
        return reset_scored(
            self._pair(weights),
            ready,
            method=stage.method,
            ratio=ratio,
            # Everything: no population is left to weigh.
            replacement="reference" if ratio == 1 else stage.replacement,
            seed=self.bench.common.runtime.seed,
            progress=progress,
        )

    def _applied(self, stage: Stage, weights: TensorSource, progress: Progress) -> Outcome:
        """Apply a stage that takes no ratio."""
        if isinstance(stage.row, Repair):
            return untouched(weights, stage.method, None)
        return self._reworked(stage, weights, self._prepared(stage, weights, progress), None)

    def _reworked(
        self, stage: Stage, weights: TensorSource, ready: Scored | Prepared | None, ratio: float | None
    ) -> Outcome:
        assert isinstance(ready, Prepared)
        return set_by_rework(
            weights,
            ready.weights(ratio),
            method=stage.method,
            ratio=ratio,
            settings=stage.settings,
            tied=self.bench.opened.pair.tied,
        )

    def _leader_ready(self, progress: Progress) -> Scored | Prepared:
        """Score, or prepare, the stage that takes the ratio; once."""
        assert self._leader is not None
        if self._ready is None:
            stage, weights = self.stages[self._leader], self._weights_before(self._leader, progress)
            if isinstance(stage.row, Repair):
                self._ready = self._score(stage, weights, progress)
            else:
                self._ready = self._prepared(stage, weights, progress)
        return self._ready

    def _prepared(self, stage: Stage, weights: TensorSource, progress: Progress) -> Prepared:
        assert not isinstance(stage.row, Repair)
        bench = self.bench
        return stage.row.prepare(
            ReworkInputs(
                pair=bench.opened.pair,
                weights=weights,
                load=bench.load,
                texts=bench.encoded(self._data.rows) if self._data else [],
                tokenizer=bench.tokenizer,
                pad_id=bench.padding,
                batch_size=bench.common.batch_size,
                device=bench.common.runtime.device,
                others=self._others,
                seed=bench.common.runtime.seed,
                settings=stage.settings,
            ),
            progress,
        )

    def _score(self, stage: Stage, weights: TensorSource, progress: Progress) -> Scored:
        bench, own = self.bench, self._store == "run"
        measured = bench.curvature(
            self._data, stage, path=bench.run.curvature if own else None, progress=bench.progress
        )
        assert stage.indicator is not None
        path = bench.run.indicator if own else bench.folder / f"scores-{id(self)}.safetensors"
        scored = score_pair(
            self._pair(weights),
            measured,
            indicator_name=stage.indicator,
            settings=stage.settings,
            path=path,
            seed=bench.common.runtime.seed,
            progress=progress,
        )
        if not own:
            path.unlink(missing_ok=True)  # stays readable while it is open; the disk is freed with the treatment
        return scored


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
