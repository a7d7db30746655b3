"""The search for a ratio: how much can be reset before utility falls, on clean samples held back in turn.

The clean samples are cut into folds. Each fold is measured by a model whose curvature and fine-tuning saw the others
only, for every ratio and for plain fine-tuning, which is the baseline. No test row and no attacker's trigger has a part
in it; words that a search found on the clean samples have, where the method works on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, final

from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.sampling import examples_sha256
from purify_cli.errors import DataError, UsageError
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Perplexity, TokenLoss, Utility, lost, pooled, resolution, summarised
from purify_cli.progress import SILENT, Progress
from purify_cli.purification.plan import TUNABLE
from purify_cli.purification.repair_session import PreparedDefence, RepairSession

__all__ = ["RatioChoice", "RatioCurve", "RatioPoint", "search_ratio", "stratified_folds"]

RULE: Final = "the largest ratio that keeps the budget together with every smaller one that was tried"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RatioPoint:
    """One ratio of a search."""

    ratio: float
    accuracy: Proportion | None = None
    """Of a classifier, over all folds together, each measured by what never saw it."""
    perplexity: Perplexity | None = None
    """Of a language model, likewise."""
    passes: bool
    """Whether the baseline is ahead by no more than the budget."""

    @property
    def utility(self) -> Proportion | Perplexity | None:
        """Whichever was measured."""
        return self.accuracy or self.perplexity


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RatioChoice:
    """How ``--ratio auto`` chose: utility over the ratio, on held-back clean samples only."""

    chosen: float
    max_drop: float
    """Of accuracy; of a language model the relative rise of perplexity."""
    baseline: Proportion | Perplexity
    """Plain fine-tuning of the same suspect on the same folds."""
    points: tuple[RatioPoint, ...]
    """Ascending."""
    untried: tuple[float, ...]
    """Ratios left out because a smaller one had lost far too much already."""
    folds: int
    resolution: float
    """What one sample counts: no smaller difference can be seen."""
    rule: str


@final
@dataclass(frozen=True, slots=True)
class RatioCurve:
    """Utility over the ratio."""

    baseline: Utility
    """Plain fine-tuning of the same suspect on the same folds."""
    points: Mapping[float, Utility]
    """By ratio, ascending; of all folds together."""
    untried: tuple[float, ...]
    """Ratios left out because a smaller one had already lost more than ``stop_below``."""
    folds: int

    def choose(self, max_drop: float) -> RatioChoice:
        """Choose the largest ratio that passes together with every smaller one; 0 if the smallest fails.

        Utility after tuning is not monotone: a ratio that passes beyond one that fails owes it to luck.

        Args:
            max_drop: By how much the baseline may be ahead of a point that passes.
        """
        points = tuple(
            RatioPoint(
                ratio=ratio,
                accuracy=utility if isinstance(utility, Proportion) else None,
                perplexity=utility.summary if isinstance(utility, TokenLoss) else None,
                passes=lost(self.baseline, utility) <= max_drop + _ROUNDING,
            )
            for ratio, utility in self.points.items()
        )
        passing = [point.ratio for point in takewhile(lambda point: point.passes, points)]
        return RatioChoice(
            chosen=passing[-1] if passing else 0.0,
            max_drop=max_drop,
            baseline=summarised(self.baseline),
            points=points,
            untried=self.untried,
            folds=self.folds,
            resolution=resolution(self.baseline),
            rule=RULE,
        )


_ROUNDING: Final = 1e-9
"""A loss of exactly the budget passes, however the fractions are rounded."""


def stratified_folds(rows: Sequence[Example], folds: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Deal the rows of every class out to folds in turn.

    Args:
        rows: Labelled, or all without a label.
        folds: Wanted; fewer where the smallest class has fewer rows, so that every fold holds every class.
        seed: Decides which row goes where.

    Returns:
        Places of the rows of each fold, ascending; disjoint, and together all rows.

    Raises:
        UsageError: If fewer than two folds are asked for.
        DataError: If a class, or the whole, has a single row.
    """
    if folds < 2:
        raise UsageError(f"{folds} folds leave nothing to tune on", hint="Use 2 or more.")
    classes: dict[int | None, list[int]] = {}
    for place in sorted(range(len(rows)), key=lambda place: row_key(seed, place, "fold")):
        classes.setdefault(rows[place].label, []).append(place)
    smallest = min(classes, key=lambda label: len(classes[label]))
    if len(classes[smallest]) < 2:
        raise DataError(
            ("there is" if smallest is None else f"class {smallest} has")
            + " a single clean row, so a ratio cannot be searched for",
            hint="--ratio auto needs 2 rows per class, better 8; or give a number as --ratio.",
        )
    number = min(folds, len(classes[smallest]))
    dealt: list[list[int]] = [[] for _ in range(number)]
    turn = 0  # goes on from class to class, so that no fold gets all the odd rows
    for label in sorted(classes, key=str):
        for place in classes[label]:
            dealt[turn % number].append(place)
            turn += 1
    return tuple(tuple(sorted(fold)) for fold in dealt)


@final
class _Fold:
    """One fold: what is tuned on, what is measured, and the defences that saw the former only."""

    def __init__(
        self,
        session: RepairSession,
        method: str,
        rest: Sequence[Example],
        held: Sequence[Example],
        options: dict[str, Any],
    ) -> None:
        self.session, self.rest, self.held = session, rest, held
        self.defence = session.prepare(method, rest, **options)
        # The same fine-tuning: only its settings are plain fine-tuning's too.
        tuning = {name: text for name, text in (options.get("settings") or {}).items() if name in TUNABLE}
        self.plain = session.prepare("fine-tuning", rest, settings=tuning)

    def utility(self, defence: PreparedDefence, ratio: float | None, progress: Progress) -> Utility:
        """Repair, tune on the rest, and measure on the held-back rows."""
        loaded, _, _ = defence.repair(ratio, self.rest, progress=progress)
        return self.session.task.utility(loaded, self.held)


def search_ratio(
    session: RepairSession,
    method: str,
    rows: Sequence[Example],
    *,
    folds: int,
    seed: int,
    ratios: Sequence[float] | None = None,
    stop_below: float | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> RatioCurve:
    """Measure utility over the ratio by cross-validation.

    The curvature of a fold is measured once, whatever the number of ratios; no row of a fold is seen by the curvature,
    the method or the tuning behind its own answer.

    Args:
        session: The pair.
        method: One or several methods, one of which takes the ratio.
        rows: Clean samples.
        folds: Parts; see ``stratified_folds``.
        seed: Decides the folds.
        ratios: To try; default: those of the defence.
        stop_below: After the first ratio that loses more than this against the baseline, no larger one is tried.
        progress: Told of every ratio.
        options: As for ``RepairSession.prepare``.

    Raises:
        UsageError: If the method takes no ratio.
        DataError: If there are too few rows of a class.
    """
    parts = stratified_folds(rows, folds, seed)
    prepared = [
        _Fold(
            session,
            method,
            [row for place, row in enumerate(rows) if place not in set(part)],
            [rows[place] for place in part],
            dict(options),
        )
        for part in parts
    ]
    grid = sorted(prepared[0].defence.ratios if ratios is None else ratios)
    if not grid or prepared[0].defence.default_ratio is None:
        raise UsageError(f"{method} takes no ratio", hint="Leave --ratio out, or choose another --method.")
    baseline = _baseline(session, prepared, progress)
    progress.note(f"plain fine-tuning: {_shown(baseline)} on held-back samples, in {len(parts)} folds")
    points: dict[float, Utility] = {}
    for ratio in grid:
        utility = points[ratio] = pooled([fold.utility(fold.defence, ratio, progress) for fold in prepared])
        progress.note(f"ratio {ratio:g}: {_shown(utility)}")
        if stop_below is not None and lost(baseline, utility) > stop_below + _ROUNDING:
            break
    return RatioCurve(baseline, points, tuple(grid[len(points) :]), len(parts))


def _baseline(session: RepairSession, folds: Sequence[_Fold], progress: Progress) -> Utility:
    """Tune the suspect as it is on the same folds; once per session, since every method is held against it."""
    # The rows tell how they were cut, and the settings hold the seed.
    key = examples_sha256([row for fold in folds for row in fold.rest]) + repr(folds[0].plain.training)
    if key not in session.baselines:
        session.baselines[key] = pooled([fold.utility(fold.plain, None, progress) for fold in folds])
    return session.baselines[key]


def _shown(measured: Utility) -> str:
    if isinstance(measured, Proportion):
        return f"{measured.successes} of {measured.total} right"
    return f"{measured.mean:.3f} nats per token"
