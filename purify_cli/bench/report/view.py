"""The results of a bench as the report reads them: rows by key, the plan among them, and the choice of the ratio.

Everything a report says comes from the rows alone, so that the same results file gives the same report. A row counts
only where its ``plan`` mark is that of the plan row: rows of settings that have been changed since are left out.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

__all__ = ["PLAN_KEY", "Condition", "View", "best_ratio", "budget_counts", "key_of", "mark_of", "passes"]

PLAN_KEY: Final = "plan"


def mark_of(value: Any) -> str:
    """Return a short fingerprint of a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def key_of(kind: str, *parts: object) -> str:
    """Name a row: ``cell/sst2/badword/s0/n32/fine-mixing/0.1``."""
    return "/".join([kind, *map(str, parts)])


def passes(right: int, baseline: int, total: int, max_drop: float) -> bool:
    """Say whether ``right`` of ``total`` is no more than ``max_drop`` under ``baseline`` of ``total``."""
    return baseline - right <= max_drop * total + 1e-9


def budget_counts(curve: Mapping[str, Any]) -> Iterator[tuple[float, int]]:
    """Yield (ratio, right answers on held-back clean rows) of a stored curve, ratios ascending."""
    for point in sorted(curve["points"] or (), key=lambda point: point["ratio"]):
        yield point["ratio"], point["accuracy"]["successes"]


def best_ratio(curve: Mapping[str, Any], max_drop: float) -> float:
    """Choose the largest ratio that keeps within the budget and whose smaller neighbours do as well; 0.0 if none.

    Accuracy after tuning is not monotone in the ratio, so that a large ratio may pass by luck where smaller ones fail.
    Only the accuracy on held-back clean rows enters: nothing else is in a curve.
    """
    best, base = 0.0, curve["baseline"]
    for ratio, right in budget_counts(curve):
        if not passes(right, base["successes"], base["total"], max_drop):
            break
        best = ratio
    return best


@final
@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A suspect, and the size of the clean set it is repaired with."""

    task: str
    attack: str
    seed: int
    size: int

    @property
    def parts(self) -> tuple[str, ...]:
        """As in keys."""
        return self.task, self.attack, f"s{self.seed}", f"n{self.size}"


@final
class View:
    """The rows that count.

    Args:
        rows: All rows of a results file by key, the plan row among them.
        marks: Key → the ``plan`` mark it must have; a row that is not listed does not count. None: all count.
    """

    def __init__(self, rows: Mapping[str, Mapping[str, Any]], marks: Mapping[str, str] | None = None) -> None:
        self.plan: Mapping[str, Any] = rows[PLAN_KEY]["result"]
        self.rows = {k: r for k, r in rows.items() if marks is None or marks.get(k) == r.get("plan")}

    @property
    def budgets(self) -> Sequence[float]:
        """Accuracy budgets of the plan, ascending; none where every ratio of the plan is measured without a choice."""
        return sorted(self.plan["bench"]["max_drops"])

    @property
    def tasks(self) -> list[str]:
        """Tasks of the plan, in its order."""
        return [task["name"] for task in self.plan["task"]]

    @property
    def attacks(self) -> list[str]:
        """Labels of the attacks, in the plan's order."""
        return [attack["label"] or attack["name"] for attack in self.plan["attack"]]

    @property
    def methods(self) -> list[str]:
        """Labels of the methods, in the plan's order."""
        return [method["label"] or method["name"].replace(",", " + ") for method in self.plan["method"]]

    @property
    def conditions(self) -> list[Condition]:
        """What has been measured, in the plan's order."""
        found = {self._condition(row) for row in self.rows.values() if row["kind"] in ("cell", "curve")}
        return sorted(found, key=lambda c: (self.tasks.index(c.task), self.attacks.index(c.attack), c.size, c.seed))

    @staticmethod
    def _condition(row: Mapping[str, Any]) -> Condition:
        place = row["place"]
        return Condition(place["task"], place["attack"], place["seed"], place["size"])

    def result(self, kind: str, *parts: object) -> Mapping[str, Any] | None:
        """Return what a row found; None where there is none, or it failed."""
        return self.rows.get(key_of(kind, *parts), {}).get("result")

    def failed(self) -> list[Mapping[str, Any]]:
        """Return the rows that failed."""
        return [row for row in self.rows.values() if "failed" in row]

    def suspect(self, condition: Condition) -> Mapping[str, Any] | None:
        """Return what was measured of the suspect itself and of its clean twin."""
        return self.result("suspect", *condition.parts[:3])

    def curve(self, condition: Condition, method: str) -> Mapping[str, Any] | None:
        """Return the curve of accuracy over the ratio; None where a method has none."""
        return self.result("curve", *condition.parts, method)

    def cell(self, condition: Condition, method: str, ratio: float | None) -> Mapping[str, Any] | None:
        """Return what was measured after the repair."""
        return self.result("cell", *condition.parts, method, "-" if ratio is None else ratio)

    def cells(self, condition: Condition, method: str) -> dict[float, Mapping[str, Any]]:
        """Return all ratios of a method, ascending."""
        found = {ratio: self.cell(condition, method, ratio) for ratio in self._ratios(condition, method)}
        return {ratio: cell for ratio, cell in found.items() if cell is not None}

    def _ratios(self, condition: Condition, method: str) -> list[float]:
        """Return those that may have a cell: what the curve tried and 0, or without budgets the method's grid."""
        if not self.budgets:
            return self.plan["method"][self.methods.index(method)]["ratios"] or []
        curve = self.curve(condition, method)
        return [0.0, *(ratio for ratio, _ in budget_counts(curve))] if curve else []

    def chosen(
        self, condition: Condition, method: str, max_drop: float
    ) -> tuple[float | None, Mapping[str, Any]] | None:
        """Return the ratio that the budget allows and what was measured there; None where that is missing."""
        single = self.cell(condition, method, None)
        if single is not None:
            return None, single
        curve = self.curve(condition, method)
        if curve is None or curve["points"] is None:
            return None
        ratio = best_ratio(curve, max_drop)
        cell = self.cell(condition, method, ratio)
        return None if cell is None else (ratio, cell)
