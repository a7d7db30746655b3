"""The results of a bench as the report reads them: rows by key, the plan among them, and the choice of the ratio.

Everything a report says comes from the rows alone, so that the same results file gives the same report. A row counts
only where its ``plan`` mark is that of the plan row: rows of settings that have been changed since are left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, final

__all__ = ["PLAN_KEY", "Condition", "Result", "View", "best_ratio", "budget_counts", "grouped", "key_of"]

PLAN_KEY: Final = "plan"

Result = Mapping[str, Any]
"""What a row found."""

K = TypeVar("K")


def key_of(kind: str, *parts: object) -> str:
    """Name a row: ``cell/sst2/badword/s0/n32/fine-mixing/0.1``."""
    return "/".join([kind, *map(str, parts)])


def budget_counts(curve: Result) -> Iterator[tuple[float, int]]:
    """Yield (ratio, right answers on held-back clean rows) of a stored curve, ratios ascending."""
    for point in sorted(curve["points"] or (), key=lambda point: point["ratio"]):
        yield point["ratio"], point["accuracy"]["successes"]


def best_ratio(curve: Result, max_drop: float) -> float:
    """Choose the largest ratio that keeps within the budget and whose smaller neighbours do as well; 0.0 if none.

    Accuracy after tuning is not monotone in the ratio, so that a large ratio may pass by luck where smaller ones fail.
    Only the accuracy on held-back clean rows enters: nothing else is in a curve.
    """
    best, base = 0.0, curve["baseline"]
    for ratio, right in budget_counts(curve):
        if base["successes"] - right > max_drop * base["total"] + 1e-9:
            break
        best = ratio
    return best


@final
@dataclass(frozen=True, slots=True)
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


def grouped(conditions: Iterable[Condition], key: Callable[[Condition], K]) -> dict[K, list[Condition]]:
    """Return conditions by a key, in their order."""
    groups: dict[K, list[Condition]] = {}
    for condition in conditions:
        groups.setdefault(key(condition), []).append(condition)
    return groups


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
        places = [row["place"] for row in self.rows.values() if row["kind"] in ("cell", "curve")]
        found = {Condition(place["task"], place["attack"], place["seed"], place["size"]) for place in places}
        return sorted(found, key=lambda c: (self.tasks.index(c.task), self.attacks.index(c.attack), c.size, c.seed))

    @property
    def sizes(self) -> list[int]:
        """Sizes of the clean sets, ascending."""
        return sorted({condition.size for condition in self.conditions})

    def measured(self, size: int) -> list[Condition]:
        """Return the conditions of a size whose suspect was measured."""
        return [condition for condition in self.conditions if condition.size == size and self.suspect(condition)]

    def result(self, kind: str, *parts: object) -> Result | None:
        """Return what a row found; None where there is none, or it failed."""
        return self.rows.get(key_of(kind, *parts), {}).get("result")

    def suspect(self, condition: Condition) -> Result | None:
        """Return what was measured of the suspect itself and of its clean twin."""
        return self.result("suspect", *condition.parts[:3])

    def suspects(self, conditions: Iterable[Condition]) -> list[Result]:
        """Return what was measured of suspects, those left out that were not."""
        return [found for found in map(self.suspect, conditions) if found is not None]

    def curve(self, condition: Condition, method: str) -> Result | None:
        """Return the curve of accuracy over the ratio; None where a method has none."""
        return self.result("curve", *condition.parts, method)

    def cell(self, condition: Condition, method: str, ratio: float | None) -> Result | None:
        """Return what was measured after the repair."""
        return self.result("cell", *condition.parts, method, "-" if ratio is None else ratio)

    def cells(self, condition: Condition, method: str) -> dict[float, Result]:
        """Return all ratios of a method, ascending."""
        found = {ratio: self.cell(condition, method, ratio) for ratio in self._ratios(condition, method)}
        return {ratio: cell for ratio, cell in found.items() if cell is not None}

    def _ratios(self, condition: Condition, method: str) -> list[float]:
        """Return those that may have a cell: what the curve tried and 0, or without budgets the method's grid."""
        if not self.budgets:
            return self.plan["method"][self.methods.index(method)]["ratios"] or []
        curve = self.curve(condition, method)
        return [0.0, *(ratio for ratio, _ in budget_counts(curve))] if curve else []

    def chosen(self, condition: Condition, method: str, max_drop: float) -> tuple[float | None, Result] | None:
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
