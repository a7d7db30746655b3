"""Scores of a pair: computed, and kept in a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from purify_cli.checkpoint import CheckpointPair, write_and_open
from purify_cli.indicators import INDICATORS
from purify_cli.inputs.curvature_cache import CurvatureData, Measured, check_estimator, curvature_for
from purify_cli.inputs.identity import FileFact
from purify_cli.inputs.opening import OpenedPair
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.progress import Progress
from purify_cli.protocols import IndicatorInputs
from purify_cli.tasks.base import Task
from purify_cli.tensors import TensorSource

__all__ = ["IndicatorFacts", "PairScores", "Scoring", "score", "score_pair"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """By which indicator a pair is scored, and how."""

    indicator: str
    settings: Mapping[str, Any]
    seed: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorFacts:
    """Which indicator scored the dimensions."""

    name: str
    settings: dict[str, Any]
    file: FileFact
    degenerate: dict[str, int]
    """Dimensions per special rule of the indicator."""


@final
@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores as a source, with what the records say of them."""

    scores: TensorSource
    facts: IndicatorFacts
    curvature: Measured | None
    """None where the indicator needs none."""


def score(
    opened: OpenedPair,
    task: Task | None,
    data: CurvatureData | None,
    how: Scoring,
    *,
    run: RunFolder,
    progress: Progress,
) -> PairScores:
    """Score every comparable dimension and store curvature and scores in the run folder."""
    check_estimator(data, how.settings)
    needed = INDICATORS[how.indicator].needs_curvature
    measured = curvature_for(opened, task, data, path=run.curvature, progress=progress) if needed else None
    return score_pair(opened.pair, measured, how, path=run.indicator, progress=progress)


def score_pair(
    pair: CheckpointPair,
    measured: Measured | None,
    how: Scoring,
    *,
    path: Path,
    gradient: TensorSource | None = None,
    progress: Progress,
) -> PairScores:
    """Score every comparable dimension of a pair and store the scores in a file."""
    fitted = INDICATORS[how.indicator].fit(
        IndicatorInputs(
            suspect=pair.suspect_part,
            reference=pair.reference_part,
            curvature=measured.source if measured else None,
            gradient=gradient,
            seed=how.seed,
            settings=how.settings,
        ),
        progress,
    )
    degenerate = dict(getattr(fitted, "degenerate", {}))
    metadata = {"indicator": how.indicator, "settings": json.dumps(dict(how.settings), sort_keys=True)}
    scores, sha = write_and_open(path, fitted, metadata=metadata)
    facts = IndicatorFacts(
        name=how.indicator,
        settings=dict(how.settings),
        file=FileFact(path=str(path), sha256=sha),
        degenerate=degenerate,
    )
    return PairScores(scores, facts, measured)
