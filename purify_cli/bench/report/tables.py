"""The results of a bench as tables, in detail: made from a ``View``, written as Markdown or HTML."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from statistics import mean
from typing import Final, final

from purify_cli.bench.report.view import Result, View, grouped
from purify_cli.errors import printable
from purify_cli.measures.intervals import Proportion

__all__ = [
    "UNREPAIRED",
    "Table",
    "cost_table",
    "detection_tables",
    "failure_table",
    "figures",
    "harm",
    "mean_of",
    "paired_tables",
    "points",
    "share",
    "task_tables",
    "value",
]

Counts = Mapping[str, int]

UNREPAIRED: Final = {"suspect, untreated": "measured", "clean twin (floor)": "twin"}
"""What tables call the two models that are measured before any repair → where a suspect's row holds them."""


@final
@dataclass(frozen=True, slots=True)
class Table:
    """A titled table of plain text, and what its columns mean."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """Write it as GitHub does."""
        lines = [f"### {_plain(self.title)}", ""]
        lines += [_line(self.head), _line(["---"] * len(self.head)), *map(_line, self.rows)]
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])

    def html(self) -> str:
        """Write it as HTML."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.head)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in self.rows)
        note = f"<p class=note>{escape(self.note)}</p>" if self.note else ""
        return f"<h3>{escape(self.title)}</h3>\n<table><tr>{head}</tr>\n{body}</table>\n{note}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Keep names and reasons from ending a cell, from being read as a tag, and from reaching a terminal."""
    return printable(text).replace("|", "&#124;").replace("<", "&lt;")


def share(found: Sequence[Counts | None]) -> str:
    """Write the mean of a share over seeds, its interval, and its range over seeds where there are several.

    The interval is Wilson's at 95 % with the rows of one seed: the seeds share their test rows, so that three seeds
    are not three times as many rows.
    """
    known = [one for one in found if one is not None]
    if not known:
        return "-"
    values = [one["successes"] / one["total"] for one in known]
    total = round(mean(one["total"] for one in known))
    low, high = Proportion.of(round(mean(values) * total), total).interval
    spread = f" [{min(values):.3f}-{max(values):.3f}]" if len(known) > 1 else ""
    return f"{mean(values):.3f} ({low:.3f}-{high:.3f}){spread}"


def harm(cell: Result) -> Counts | None:
    """Return what the attack still does: attack success, or of a bias the wrong answers under its pattern."""
    bias = cell["bias_accuracy"]
    if bias is not None:
        return {"successes": bias["total"] - bias["successes"], "total": bias["total"]}
    return cell["attack_success"]


def value(counts: Counts | None) -> float | None:
    """Return a share as a number."""
    return None if counts is None else counts["successes"] / counts["total"]


def mean_of(found: Sequence[Counts | None]) -> str:
    """Write the mean of shares; a dash where there is none."""
    known = [one for one in map(value, found) if one is not None]
    return f"{mean(known):.3f}" if known else "-"


def figures(cells: Sequence[Result]) -> str:
    """Write the mean harm of some cells, and in brackets their mean accuracy."""
    return f"{mean_of([harm(one) for one in cells])} ({mean_of([one['accuracy'] for one in cells])})" if cells else "-"


def points(max_drop: float) -> str:
    """Write a budget down."""
    return f"{100 * max_drop:g} points"


def task_tables(view: View) -> Iterator[Table]:
    """Yield one table per task, attack and clean-set size: suspect, floor, and every method at every budget."""
    if not view.budgets:
        return
    for (task, attack, size), conditions in grouped(view.conditions, lambda c: (c.task, c.attack, c.size)).items():
        suspects = view.suspects(conditions)
        bias = any(found["bias"] for found in suspects)
        shown = ("accuracy", "bias_accuracy" if bias else "attack_success", "target_rate")
        rows = [
            (name, "-", "-", *(share([found[key][of] for found in suspects]) for of in shown))
            for name, key in UNREPAIRED.items()
        ]
        for method in view.methods:
            told: set[tuple[str, ...]] = set()
            for budget in view.budgets:
                chosen = [one for one in (view.chosen(c, method, budget) for c in conditions) if one is not None]
                if not chosen:
                    continue
                ratios = sorted({"-" if ratio is None else f"{ratio:g}" for ratio, _ in chosen})
                shares = [share([cell[of] for _, cell in chosen]) for of in shown]
                single = all(ratio is None for ratio, _ in chosen)
                row = (method, "-" if single else points(budget), ", ".join(ratios), *shares)
                if row not in told:
                    rows.append(row)
                told.add(row)
        seeds = ", ".join(str(condition.seed) for condition in conditions)
        yield Table(
            f"{task}, {attack}, {size} clean samples per class",
            ("model", "budget", "ratio", "ACC", "BACC" if bias else "ASR", "called target untriggered"),
            tuple(rows),
            f"Seeds: {seeds}. In round brackets Wilson 95 % intervals, in square ones the range over seeds.",
        )


def paired_tables(view: View) -> Iterator[Table]:
    """Yield, per size and budget, pairs of methods compared row by row over all suspects."""
    from scipy.stats import binomtest

    for size in view.sizes:
        for budget in view.budgets:
            rows: list[tuple[str, ...]] = []
            for first, second in combinations(view.methods, 2):
                counts = {"right": [0, 0], "harmed": [0, 0]}
                pairs = 0
                for condition in view.conditions:
                    one, two = (view.chosen(condition, method, budget) for method in (first, second))
                    if condition.size != size or one is None or two is None:
                        continue
                    pairs += 1
                    for what, count in counts.items():
                        a, b = int(one[1][what], 16), int(two[1][what], 16)
                        count[0] += (a & ~b).bit_count()
                        count[1] += (b & ~a).bit_count()
                if pairs:
                    tests = [binomtest(c[0], sum(c)).pvalue if sum(c) else 1.0 for c in counts.values()]
                    told = [[*map(str, count), f"{p:.2g}"] for count, p in zip(counts.values(), tests, strict=True)]
                    rows.append((first, second, *told[0], *told[1], str(pairs)))
            if rows:
                yield Table(
                    f"Row by row at {points(budget)}, {size} clean samples per class",
                    ("A", "B", "right: only A", "only B", "p", "harmed: only A", "only B", "p", "suspects"),
                    tuple(rows),
                    "Test rows that one method answers rightly (without the trigger) or loses to the trigger, and the "
                    "other does not. p: exact sign test (McNemar), as if all rows were independent; suspects of one "
                    "task share their test rows, so that it is too sure.",
                )


def detection_tables(view: View) -> Iterator[Table]:
    """Yield how indicators rank the dimensions that an attack is known to have changed."""
    rows: list[tuple[str, ...]] = []
    for row in (row for row in view.rows.values() if row["kind"] == "detection" and "result" in row):
        place, found = row["place"], row["result"]
        hits = [f"{100 * found['hits'][cut]:.2f} (of {100 * found['best_hits'][cut]:.2f})" for cut in ("0.01", "0.001")]
        rows.append(
            (
                place["task"],
                place["attack"],
                f"{place['seed']}",
                f"{place['size']}",
                place["detector"],
                f"{found['mean_rank']:.2f}",
                *hits,
                f"{found['auroc']:.3f}",
                f"{found['planted']:,} / {found['dimensions']:,} = {found['planted'] / found['dimensions']:.2g}",
            )
        )
    if rows:
        yield Table(
            "Where indicators rank the changed dimensions",
            ("task", "attack", "seed", "clean", "indicator", "MR%", "H@1% (%)", "H@0.1% (%)", "AUROC", "|P|/d"),
            tuple(sorted(rows)),
            "P: dimensions that the attack changed against the model it started from. MR%: mean rank, 50 at random, "
            "lower is better; H@k: share of P among the first k, in brackets the largest possible; ties by half.",
        )


def failure_table(view: View) -> Iterator[Table]:
    """Yield what could not be measured, and why."""
    failed = {row["key"]: row["failed"] for row in view.rows.values() if "failed" in row}
    if failed:
        rows = tuple((key, found["error"], found["reason"]) for key, found in sorted(failed.items()))
        yield Table("What failed", ("row", "error", "reason"), rows)


def cost_table(view: View) -> Iterator[Table]:
    """Yield how long it took, with which code, on what."""
    kinds: Final = ("suspect", "search", "detection", "curve", "cell")
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in (row for row in view.rows.values() if row["kind"] in kinds):
        libraries = ", ".join(f"{name} {row['versions'].get(name, '?')}" for name in ("purify-cli", "torch"))
        code = f"{row['commit'] or 'no commit'}; {libraries}"
        found.setdefault((row["kind"], code, row["device"]), []).append(row["seconds"])
    rows = [(*key, str(len(times)), f"{sum(times) / 60:.1f}") for key, times in sorted(found.items())]
    if rows:
        yield Table("What it took", ("rows of", "code", "device", "rows", "minutes"), tuple(rows))
