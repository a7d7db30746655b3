"""How long the rest takes, from how long rows like it took."""

from collections.abc import Callable, Iterator, Sequence
from statistics import mean
from typing import Any, Final, final

from purify_cli.bench.grid import DETECTORS, Only, ResultSpec, Suspect, methods_of, wants_search
from purify_cli.bench.plan import MethodPlan
from purify_cli.bench.report.view import budget_counts
from purify_cli.bench.store import Row, Store

__all__ = ["Eta", "duration"]

GUESS: Final = 6
"""Cells that a curve is taken to ask for before it is there, where the plan gives no grid."""


def duration(seconds: float) -> str:
    """Write a time as a person would: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


@final
class Eta:
    """Estimates; reads the rows of a store and changes nothing."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def _missing(
        self, suspects: Sequence[Suspect], only: Only, is_done: Callable[[ResultSpec], bool]
    ) -> Iterator[tuple[str, str]]:
        """Yield (kind, method) of every row that is missing, as far as can be foreseen."""
        for suspect in suspects:
            whole = ResultSpec("suspect", suspect)
            known: dict[str, Any] | None = None
            if is_done(whole):
                row = self.store.rows[whole.key]
                if "failed" in row:
                    continue
                known = row["result"]
            else:
                yield "suspect", ""
            for size in suspect.plan.bench.clean_per_class:
                if not only.has("size", size):
                    continue
                if known is not None and known["planted"] is not None and suspect.plan.bench.detection:
                    detections = (ResultSpec("detection", suspect, size, detector=name) for name in DETECTORS)
                    yield from (("detection", "") for asked in detections if not is_done(asked))
                if wants_search(suspect, size, only) and not is_done(ResultSpec("search", suspect, size)):
                    yield "search", ""
                for method in methods_of(suspect, size, only):
                    yield from self._of_method(suspect, size, method, is_done)

    def _of_method(
        self, suspect: Suspect, size: int, method: MethodPlan, is_done: Callable[[ResultSpec], bool]
    ) -> Iterator[tuple[str, str]]:
        curve = ResultSpec("curve", suspect, size, method)
        ratios: list[float | None] = [*(method.ratios or [0.1] * GUESS)]
        if not suspect.plan.bench.chooses:
            ratios = [*(method.ratios or (None,))]
        elif is_done(curve):
            row = self.store.rows[curve.key]
            if "failed" in row:
                return
            ratios = [None]
            if row["result"]["points"] is not None:
                ratios = [ratio for ratio, _ in budget_counts(row["result"]) if ratio > 0]
        else:
            yield "curve", method.title
        cells = (ResultSpec("cell", suspect, size, method, ratio) for ratio in ratios)
        yield from (("cell", method.title) for asked in cells if not is_done(asked))

    def pending(self, suspects: Sequence[Suspect], only: Only, is_done: Callable[[ResultSpec], bool]) -> int:
        """Count the rows that are missing."""
        return sum(1 for _ in self._missing(suspects, only, is_done))

    def left(self, suspects: Sequence[Suspect], only: Only, is_done: Callable[[ResultSpec], bool]) -> tuple[int, float]:
        """Return (rows that are missing, seconds they take): each as long as the mean of its kind and method."""
        times: dict[tuple[str, str], list[float]] = {}
        for row in self.store.rows.values():
            if "seconds" in row:
                times.setdefault((row["kind"], row["place"]["method"] or ""), []).append(row["seconds"])
        by_kind = {kind: mean(t for (k, _), own in times.items() if k == kind for t in own) for kind, _ in times}
        overall = mean(by_kind.values()) if by_kind else 0.0
        rows, seconds = 0, 0.0
        for kind, method in self._missing(suspects, only, is_done):
            rows += 1
            own = times.get((kind, method))
            seconds += mean(own) if own else by_kind.get(kind, overall)
        return rows, seconds

    def told(self, row: Row, suspects: Sequence[Suspect], only: Only, is_done: Callable[[ResultSpec], bool]) -> str:
        """Say what has just been stored, and how much is left."""
        rows, seconds = self.left(suspects, only, is_done)
        ended = f"failed ({row['failed']['reason']})" if "failed" in row else "done"
        return f"{row['key']}: {ended} in {duration(row['seconds'])}; {rows} rows left, about {duration(seconds)}"
