"""A method on a suspect and some rows: what does not depend on the ratio is settled once, then one repair per ratio."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, final

from purify_cli.checkpoint import CheckpointPair
from purify_cli.data.example import Example
from purify_cli.errors import UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.inputs.curvature_cache import CurvatureData, check_estimator
from purify_cli.inputs.scoring import PairScores, Scoring, score_pair
from purify_cli.model import LoadedModel, tokenizer_pad
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import ResetDefence, WeightDefence, WeightDefenceInputs, WeightEdit
from purify_cli.purification.augment import carried_gradient, with_triggers
from purify_cli.purification.early_stopping import with_chosen_steps
from purify_cli.purification.plan import Composition, Stage
from purify_cli.purification.stages import (
    RepairedModel,
    StageResult,
    apply_edit,
    combine_stages,
    nothing_reset,
    reset_scored,
)
from purify_cli.purification.teaching import TeacherTuning, with_teacher
from purify_cli.tensors import TensorSource
from purify_cli.training import TrainingResult, TrainingSettings
from purify_cli.trigger_search.found import FoundTrigger

if TYPE_CHECKING:
    from purify_cli.purification.repair_session import RepairSession

__all__ = ["RATIOS", "PreparedDefence"]

RATIOS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Ratios that a search tries, ascending. Ours: steps of a tenth, as published sweeps have them, and one below."""


@final
@dataclass(slots=True)
class _Leader:
    """The stage that takes the ratio, and what is made for it once."""

    place: int
    stage: Stage
    scored: PairScores | None = None
    """Of a ``ResetDefence``."""
    edit: Callable[[float | None], WeightEdit] | None = None
    """Of a ``WeightDefence``, prepared."""


@final
class PreparedDefence:
    """A method on a suspect and some rows; made by ``RepairSession.prepare``.

    What does not depend on the ratio (curvature, scores, the weights of earlier stages) is settled when it is first
    needed and kept.

    Raises:
        UsageError: If the estimator of the curvature does not suit the rows or a stage's settings, or a stage needs a
            trigger and none is known.
    """

    def __init__(
        self,
        session: "RepairSession",
        composition: Composition,
        *,
        data: CurvatureData | None,
        others: Sequence[TensorSource],
        triggers: Sequence[FoundTrigger],
        store: Literal["bench", "run"],
    ) -> None:
        self.session, self.method = session, composition.method
        self.stages, self.training = composition.stages, composition.training
        self._teaching = with_teacher(session, composition, triggers if self.unlearns or composition.teacher else ())
        self._data, self._others, self.triggers, self._store = data, others, triggers, store
        if not triggers and self.works_on_triggers:
            raise UsageError(
                f"{self.method} works on words that were found to be planted, and none is known",
                hint="Run `purify detect SUSPECT`, then this without SUSPECT; or use --method fine-purifying.",
            )
        for stage in self.stages:
            if stage.indicator is not None:
                check_estimator(data, stage.settings)
        self._leader = next((_Leader(i, stage) for i, stage in enumerate(self.stages) if stage.ratio is not None), None)
        self._settled: list[StageResult] = []

    @property
    def default_ratio(self) -> float | None:
        """Ratio of the stage that takes one; None if none does."""
        return None if self._leader is None else self._leader.stage.ratio

    @property
    def works_on_triggers(self) -> bool:
        """Whether words that were found are scored, unlearnt or put into what is taught."""
        taught = isinstance(self._teaching, TeacherTuning) and bool(self._teaching.triggers)
        return taught or any(stage.needs_triggers for stage in self.stages)

    @property
    def unlearns(self) -> bool:
        """Whether a stage learns from rows that carry the found triggers."""
        return any(isinstance(stage.row, ResetDefence) and stage.row.unlearns for stage in self.stages)

    @property
    def ratios(self) -> tuple[float, ...]:
        """What a search for the ratio tries, ascending; empty where no stage takes a ratio."""
        return () if self._leader is None else RATIOS

    @property
    def scored(self) -> PairScores | None:
        """Scores of the stage that takes the ratio, with what the records say of them and of the curvature."""
        leader = self._leader
        if leader is None or not isinstance(leader.stage.row, ResetDefence):
            return None
        return self._leading_scores(leader, self.session.progress)

    @property
    def scores(self) -> TensorSource | None:
        """Scores of the stage that takes the ratio; None where it scores nothing."""
        return self.scored.scores if self.scored else None

    def reset(self, ratio: float | None, progress: Progress = SILENT) -> RepairedModel:
        """Make the weights for a ratio; None is the default one.

        Raises:
            UsageError: If a ratio is given and no stage takes one.
        """
        if self._leader is None and ratio:
            raise UsageError(f"{self.method} takes no ratio", hint="Leave the ratio out.")
        chosen = self.default_ratio if ratio is None else ratio
        outcomes: list[StageResult] = []
        leader = self._leader
        for place, stage in enumerate(self.stages):
            if leader is None or place < leader.place:
                outcomes.append(self._before(place, progress))
            elif place == leader.place:
                outcomes.append(self._led(leader, chosen or 0.0, progress))
            else:
                outcomes.append(self._applied(stage, outcomes[-1].weights, progress))
        leading = None if leader is None else outcomes[leader.place]
        scored = leader.scored if leader is not None and chosen else None
        return combine_stages(self.session.opened, outcomes, leading, scored)

    def repair(
        self,
        ratio: float | None,
        rows: Sequence[Example],
        *,
        training: TrainingSettings | None = None,
        resume: Path | None = None,
        progress: Progress = SILENT,
    ) -> tuple[LoadedModel, RepairedModel, TrainingResult | None]:
        """Reset, load and fine-tune in memory; nothing is written.

        Args:
            ratio: As for ``reset``.
            rows: To tune on; none leaves the reset model as it is. Where a stage unlearns, copies of them that carry
                the triggers are added. Where there is a teacher, its answers on texts are learnt as well.
            training: Default: the defence's own.
            resume: Folder for the state of an interrupted training.
            progress: Told of the passes over the weights.

        Returns:
            The model, the weights before tuning with what was done to them, and how the tuning went. With patience
            the number of steps is chosen first, on a quarter of the rows, and then all rows are tuned on.
        """
        repaired = self.reset(ratio, progress)
        if rows and self._teaching is not None:
            labelled = self._taught(rows)
            tuned, result = self._teaching.tune(repaired, rows, labelled=labelled, training=training, resume=resume)
            return tuned, repaired, result
        settings = training or self.training
        if rows and settings.patience is not None:  # before the model is loaded: the trial holds one of its own
            settings = with_chosen_steps(self.session, repaired, rows, settings, taught=self._taught)
        loaded = self.session.task.load(repaired.weights)
        if not rows:
            return loaded, repaired, None
        result = self.session.tune(loaded, self._taught(rows), settings, repaired, resume=resume)
        return loaded, repaired, result

    def _taught(self, rows: Sequence[Example]) -> Sequence[Example]:
        """Add copies that carry the triggers, where a stage unlearns."""
        return with_triggers(self.session.task, rows, self.triggers) if self.unlearns else rows

    def _pair(self, weights: TensorSource) -> CheckpointPair:
        """Compare weights of an earlier stage: what it put back has no drift."""
        return replace(self.session.opened.pair, suspect=weights)

    def _weights_before(self, place: int, progress: Progress) -> TensorSource:
        return self._before(place - 1, progress).weights if place else self.session.opened.pair.suspect

    def _before(self, place: int, progress: Progress) -> StageResult:
        """Return the outcome of a stage that no ratio reaches; made once."""
        while len(self._settled) <= place:
            at = len(self._settled)
            weights = self._settled[-1].weights if at else self.session.opened.pair.suspect
            self._settled.append(self._applied(self.stages[at], weights, progress))
        return self._settled[place]

    def _led(self, leader: "_Leader", ratio: float, progress: Progress) -> StageResult:
        """Apply the stage that takes the ratio."""
        stage = leader.stage
        weights = self._weights_before(leader.place, progress)
        if not isinstance(stage.row, ResetDefence):
            if leader.edit is None:
                leader.edit = self._prepared(stage.row, stage, weights, progress)
            return self._reworked(stage, weights, leader.edit(ratio), ratio)
        if ratio == 0:
            return nothing_reset(weights, stage.method, ratio)
        return reset_scored(
            self._pair(weights),
            self._leading_scores(leader, progress),
            # Of everything no population is left to weigh.
            replace(stage, replacement="reference") if ratio == 1 else stage,
            ratio,
            seed=self.session.common.compute.seed,
            progress=progress,
        )

    def _applied(self, stage: Stage, weights: TensorSource, progress: Progress) -> StageResult:
        """Apply a stage that takes no ratio."""
        if isinstance(stage.row, ResetDefence):
            return nothing_reset(weights, stage.method, None)
        return self._reworked(stage, weights, self._prepared(stage.row, stage, weights, progress)(None), None)

    def _reworked(self, stage: Stage, weights: TensorSource, made: WeightEdit, ratio: float | None) -> StageResult:
        return apply_edit(
            weights,
            made,
            method=stage.method,
            ratio=ratio,
            settings=stage.settings,
            tied=self.session.opened.pair.tied,
        )

    def _leading_scores(self, leader: "_Leader", progress: Progress) -> PairScores:
        """Score the stage that takes the ratio; once."""
        if leader.scored is None:
            leader.scored = self._score(leader.stage, self._weights_before(leader.place, progress), progress)
        return leader.scored

    def _prepared(
        self, row: WeightDefence, stage: Stage, weights: TensorSource, progress: Progress
    ) -> Callable[[float | None], WeightEdit]:
        session = self.session
        return row.prepare(
            WeightDefenceInputs(
                pair=session.opened.pair,
                weights=weights,
                load=session.task.load,
                texts=session.task.encode(self._data.rows) if self._data else [],
                tokenizer=session.task.tokenizer,
                pad_id=tokenizer_pad(session.task.tokenizer),
                batch_size=session.common.compute.batch_size,
                device=session.common.compute.device,
                others=self._others,
                settings=stage.settings,
            ),
            progress,
        )

    def _gradient(self, weights: TensorSource, progress: Progress) -> TensorSource:
        """Differentiate what the triggers do to the weights of the stage before."""
        session = self.session
        if self._data is None:
            raise UsageError(
                "what carries a trigger shows in texts, and there are none", hint="Give --clean-data FILE."
            )
        return carried_gradient(
            session.task,
            self._pair(weights),
            session.task.load(weights),
            self._data.rows,
            self.triggers,
            progress=progress,
        )

    def _score(self, stage: Stage, weights: TensorSource, progress: Progress) -> PairScores:
        session, own, indicator = self.session, self._store == "run", stage.indicator
        if indicator is None:
            raise ValueError(f"{stage.method} scores nothing")
        needed = INDICATORS[indicator].needs_curvature
        path = session.run.indicator if own else session.folder / "scores.safetensors"
        scored = score_pair(
            self._pair(weights),
            session.curvature(self._data, path=session.run.curvature if own else None) if needed else None,
            Scoring(indicator=indicator, settings=stage.settings, seed=session.common.compute.seed),
            gradient=self._gradient(weights, progress) if INDICATORS[indicator].needs_triggers else None,
            path=path,
            progress=progress,
        )
        if not own:
            path.unlink(missing_ok=True)  # stays readable while it is open; the disk is freed with the defence
        return scored
