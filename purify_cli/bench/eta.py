"""How long the rest takes, from how long rows like it took."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Final

from purify_cli.bench.grid import ResultSpec
from purify_cli.bench.report.view import Result
from purify_cli.bench.store import Row

__all__ = ["duration", "foreseen", "told"]

GUESS: Final = 6
"""Cells that a curve is taken to ask for before it is there, where the plan gives no grid."""


def duration(seconds: float) -> str:
    """Write a time as a person would: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def foreseen(asked: ResultSpec) -> Result:
    """Guess what a row will hold, as far as other rows follow from it: no changed dimensions, and no ratio too much."""
    right = {"successes": 1, "total": 1}
    ratios = (asked.method and asked.method.ratios) or [0.1] * GUESS
    points = [{"ratio": ratio, "accuracy": right} for ratio in ratios]
    return {"planted": None, "baseline": right, "points": points}


def told(row: Row, missing: Sequence[ResultSpec], rows: Mapping[str, Row]) -> str:
    """Say what has just been stored, and how much is left.

    Args:
        row: The row.
        missing: Those that are left; each is taken to last as long as the mean of its kind and method.
        rows: All that are stored.
    """
    times: dict[tuple[str, str | None], list[float]] = {}
    for one in rows.values():
        if "seconds" in one:
            times.setdefault((one["kind"], one["place"]["method"]), []).append(one["seconds"])
    by_kind = {kind: mean(t for (k, _), own in times.items() if k == kind for t in own) for kind, _ in times}
    overall = mean(by_kind.values()) if by_kind else 0.0
    seconds = 0.0
    for asked in missing:
        own = times.get((asked.kind, asked.method.title if asked.method else None))
        seconds += mean(own) if own else by_kind.get(asked.kind, overall)
    ended = f"failed ({row['failed']['reason']})" if "failed" in row else "done"
    return f"{row['key']}: {ended} in {duration(row['seconds'])}; {len(missing)} rows left, about {duration(seconds)}"
