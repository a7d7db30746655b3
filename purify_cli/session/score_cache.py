"""Scores of a pair: computed, and kept in a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from purify_cli.checkpoint import CheckpointPair, write_and_open
from purify_cli.indicators import INDICATORS
from purify_cli.progress import Progress
from purify_cli.protocols import IndicatorInputs
from purify_cli.records.base import FileFact
from purify_cli.records.detection import CurvatureFacts, IndicatorFacts
from purify_cli.session.curvature_cache import CurvatureData, Measured, curvature_for
from purify_cli.session.opening import OpenedPair
from purify_cli.session.run_folder import RunFolder
from purify_cli.tasks.base import Task
from purify_cli.tensors import TensorSource

__all__ = ["PairScores", "score", "score_pair"]


@final
@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores as a source, with what the records say of them."""

    scores: TensorSource
    curvature: TensorSource | None
    curvature_facts: CurvatureFacts | None
    indicator_facts: IndicatorFacts


def score(
    opened: OpenedPair,
    task: Task | None,
    data: CurvatureData | None,
    *,
    indicator: str,
    settings: Mapping[str, Any],
    run: RunFolder,
    seed: int,
    progress: Progress,
) -> PairScores:
    """Score every comparable dimension and store curvature and scores in the run folder."""
    measured = curvature_for(
        opened, task, data, indicator=indicator, settings=settings, path=run.curvature, progress=progress
    )
    return score_pair(
        opened.pair,
        measured,
        indicator=indicator,
        settings=settings,
        path=run.indicator,
        seed=seed,
        progress=progress,
    )


def score_pair(
    pair: CheckpointPair,
    measured: Measured | None,
    *,
    indicator: str,
    settings: Mapping[str, Any],
    path: Path,
    seed: int,
    gradient: TensorSource | None = None,
    progress: Progress,
) -> PairScores:
    """Score every comparable dimension of a pair and store the scores in a file."""
    fitted = INDICATORS[indicator].fit(
        IndicatorInputs(
            suspect=pair.suspect_part,
            reference=pair.reference_part,
            curvature=measured.source if measured else None,
            gradient=gradient,
            seed=seed,
            settings=settings,
        ),
        progress,
    )
    degenerate = dict(getattr(fitted, "degenerate", {}))
    metadata = {"indicator": indicator, "settings": json.dumps(dict(settings), sort_keys=True)}
    scores, sha = write_and_open(path, fitted, metadata=metadata)
    facts = IndicatorFacts(
        name=indicator,
        settings=dict(settings),
        file=FileFact(path=str(path), sha256=sha),
        degenerate=degenerate,
    )
    source = measured.source if measured else None
    return PairScores(scores, source, measured.facts if measured else None, facts)
