"""A method on a suspect and some rows: what does not depend on the ratio is settled once, then one repair per ratio."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, final

from purify_cli.checkpoint import CheckpointPair
from purify_cli.data.example import Example
from purify_cli.errors import UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.model import Loaded
from purify_cli.pipelines.curvature import ClassifierData, check_estimator
from purify_cli.pipelines.plan import Stage
from purify_cli.pipelines.repair import Outcome, Repaired, reset_scored, set_by_rework, summed, untouched
from purify_cli.pipelines.scoring import Scored, score_pair
from purify_cli.pipelines.triggers import Texts, carried_gradient, with_triggers
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Prepared, Repair, ReworkInputs
from purify_cli.report.schema import FoundTriggerFact, TrainingFacts
from purify_cli.tensors import TensorSource
from purify_cli.training import TrainingSettings

if TYPE_CHECKING:
    from purify_cli.pipelines.workbench import Workbench

__all__ = ["RATIOS", "Treatment"]

RATIOS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Ratios that a search tries, ascending. Ours: steps of a tenth, as published sweeps have them, and one below."""


@final
class Treatment:
    """A method on a suspect and some rows; made by ``Workbench.treatment``.

    What does not depend on the ratio (curvature, scores, the weights of earlier stages) is settled when it is first
    needed and kept.

    Raises:
        UsageError: If the estimator of the curvature does not suit the rows or a stage's settings, or a stage needs a
            trigger and none is known.
    """

    def __init__(
        self,
        bench: "Workbench",
        method: str,
        stages: tuple[Stage, ...],
        training: TrainingSettings,
        *,
        data: ClassifierData | None,
        others: Sequence[TensorSource],
        triggers: Sequence[FoundTriggerFact],
        store: Literal["bench", "run"],
    ) -> None:
        self.bench, self.method, self.stages, self.training = bench, method, stages, training
        self._data, self._others, self.triggers, self._store = data, others, triggers, store
        if not triggers and self.works_on_triggers:
            raise UsageError(
                f"{method} works on words that were found to be planted, and none is known",
                hint="Run `purify detect SUSPECT`, then this without SUSPECT; or use --method fine-purifying.",
            )
        for stage in stages:
            if stage.indicator is not None:
                check_estimator(data, stage.settings)
        self._leader = next((i for i, stage in enumerate(stages) if stage.ratio is not None), None)
        self._settled: list[Outcome] = []
        self._ready: Scored | Prepared | None = None

    @property
    def default_ratio(self) -> float | None:
        """Ratio of the stage that takes one; None if none does."""
        return None if self._leader is None else self.stages[self._leader].ratio

    @property
    def works_on_triggers(self) -> bool:
        """Whether a stage scores or unlearns words that were found."""
        return any(stage.needs_triggers for stage in self.stages)

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
            rows: To tune on; none leaves the reset model as it is. Where a stage unlearns, copies of them that carry
                the triggers are added.
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
        if any(isinstance(stage.row, Repair) and stage.row.unlearns for stage in self.stages):
            rows = with_triggers(rows, self.triggers, self._texts)
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

    @property
    def _texts(self) -> Texts:
        return Texts(self.bench.tokenizer, self.bench.max_length, self.bench.common.runtime.seed)

    def _gradient(self, weights: TensorSource, progress: Progress) -> TensorSource:
        """Differentiate what the triggers do to the weights of the stage before."""
        bench = self.bench
        if self._data is None:
            raise UsageError(
                "what carries a trigger shows in texts, and there are none", hint="Give --clean-data FILE."
            )
        loaded = bench.load(weights)
        return carried_gradient(
            self._pair(weights),
            loaded,
            self._data.rows,
            self.triggers,
            texts=self._texts,
            pad_id=bench.pad_id(loaded),
            common=bench.common,
            progress=progress,
        )

    def _score(self, stage: Stage, weights: TensorSource, progress: Progress) -> Scored:
        bench, own = self.bench, self._store == "run"
        measured = bench.curvature(
            self._data, stage, path=bench.run.curvature if own else None, progress=bench.progress
        )
        assert stage.indicator is not None
        path = bench.run.indicator if own else bench.folder / "scores.safetensors"
        scored = score_pair(
            self._pair(weights),
            measured,
            gradient=self._gradient(weights, progress) if INDICATORS[stage.indicator].needs_triggers else None,
            indicator_name=stage.indicator,
            settings=stage.settings,
            path=path,
            seed=bench.common.runtime.seed,
            progress=progress,
        )
        if not own:
            path.unlink(missing_ok=True)  # stays readable while it is open; the disk is freed with the treatment
        return scored
