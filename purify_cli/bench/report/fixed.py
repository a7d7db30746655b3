"""All methods at one ratio, and beside it what needs no ratio: a comparison without any choice."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import mean

from purify_cli.bench.report.tables import Table, figures, harm, value
from purify_cli.bench.report.view import Condition, Result, View, grouped

__all__ = ["fixed_pairs", "fixed_tables"]


def fixed_tables(view: View) -> Iterator[Table]:
    """Yield, per size and per ratio that all grids of the plan hold, what every method leaves of every attack."""
    for size in view.sizes:
        for ratio in _shared(view):
            rows: list[tuple[str, ...]] = []
            for (task, attack), conditions in grouped(view.measured(size), lambda c: (c.task, c.attack)).items():
                found = {method: [_at(view, one, method, ratio) for one in conditions] for method in view.methods}
                # One set of seeds for all columns: those that every method of the row was measured on.
                shown = [cells for cells in found.values() if any(cells)]
                if not shown:
                    continue
                kept = [i for i in range(len(conditions)) if all(cells[i] for cells in shown)]
                suspects = view.suspects(conditions[i] for i in kept)
                columns = [[one for i in kept if (one := cells[i])] for cells in found.values()]
                columns = [[one["measured"] for one in suspects], *columns, [one["twin"] for one in suspects]]
                rows.append((task, attack, str(len(kept)), *map(figures, columns)))
            if rows:
                yield Table(
                    f"What is left at ratio {ratio:g}, {size} clean samples per class",
                    ("task", "attack", "seeds", "suspect", *view.methods, "twin (floor)"),
                    tuple(rows),
                    "ASR, of a bias attack 1 − BACC; in brackets ACC. Means over the seeds on which all methods that a "
                    "row shows were measured. A method without a ratio stands as it is.",
                )


def fixed_pairs(view: View) -> Iterator[Table]:
    """Yield, per size and per ratio that all grids of the plan hold, pairs of methods compared suspect by suspect."""
    for size in view.sizes:
        for ratio in _shared(view):
            rows: list[tuple[str, ...]] = []
            for first, second in combinations(view.methods, 2):
                harms: list[float] = []
                accuracies: list[float] = []
                for condition in view.conditions:
                    one, two = (_at(view, condition, method, ratio) for method in (first, second))
                    if condition.size == size and one is not None and two is not None:
                        harms += _less(value(harm(one)), value(harm(two)))
                        accuracies += _less(value(one["accuracy"]), value(two["accuracy"]))
                if harms:
                    more = f"{sum(gap > 0 for gap in harms)} / {sum(gap < 0 for gap in harms)}"
                    rows.append((first, second, str(len(harms)), _gap(harms), more, _gap(accuracies)))
            if rows:
                yield Table(
                    f"Suspect by suspect at ratio {ratio:g}, {size} clean samples per class",
                    ("A", "B", "suspects", "harm left: A − B", "A / B leaves more", "ACC: A − B"),
                    tuple(rows),
                    "Harm: ASR, of a bias attack 1 − BACC. Means over the suspects on which both were measured; in "
                    "brackets the smallest and the largest difference. The attacks were picked by hand: no interval "
                    "says what others would give.",
                )


def _shared(view: View) -> list[float]:
    """Return the ratios that all grids of the plan hold, ascending."""
    grids = [set(method["ratios"]) for method in view.plan["method"] if method["ratios"] is not None]
    return sorted(set.intersection(*grids)) if grids else []


def _less(first: float | None, second: float | None) -> list[float]:
    return [] if first is None or second is None else [first - second]


def _gap(values: Sequence[float]) -> str:
    told = f" ({min(values):+.3f} to {max(values):+.3f})" if len(values) > 1 else ""
    return f"{mean(values):+.3f}{told}"


def _at(view: View, condition: Condition, method: str, ratio: float) -> Result | None:
    return view.cell(condition, method, None) or view.cell(condition, method, ratio)
