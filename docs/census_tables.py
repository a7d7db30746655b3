"""The tables of the census, from its results alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from statistics import median
from typing import Any, Final

from purify_cli.bench.report.tables import Table
from purify_cli.data.triggers import Trigger
from purify_cli.measures.intervals import Proportion
from purify_cli.trigger_search.flips import Flips
from purify_cli.trigger_search.rule import detection_score, planted
from purify_cli.trigger_search.verify import VerifiedTrigger

__all__ = ["RESULTS", "clean_signs", "model_table", "read", "sign_table", "signs", "summary_tables"]

RESULTS: Final = Path(__file__).parent / "results" / "census.jsonl"

Row = Mapping[str, Any]

WORKS: Final = 0.9
"""Attack success from which an attack counts as one that worked; of a bias, called the target at the same share."""


SEEN: Final = frozenset((*range(1, 40), 41, 43, 45))
"""Numbers of the models that were searched, in one form or another, before search and rule were fixed."""


def read(path: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the searched models, each with its training."""
    rows = _rows(path)
    found = [row for row in rows.values() if row["kind"] == "search" and "result" in row]
    return [row | {"training": rows.get(row["key"].replace("search/", "train/"), {})} for row in found]


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return key → row; later rows of a key replace earlier ones."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def signs(path: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the models whose weights were looked at."""
    return [row for row in _rows(path).values() if row["kind"] == "weights" and "result" in row]


def clean_signs(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Return sign → its values in unpoisoned models, ascending, to four digits."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["place"]["attack"] is None:
            for name, value in row["result"]["signs"].items():
                found.setdefault(name, []).append(float(f"{value:.4g}"))
    return {name: sorted(values) for name, values in sorted(found.items())}


def sign_table(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield what the weights alone show, unpoisoned models beside poisoned ones."""
    lines: list[tuple[str, ...]] = []
    kinds = sorted({row["place"]["attack"] for row in rows if row["place"]["attack"] is not None})
    for name, clean in clean_signs(rows).items():
        bad = {
            kind: [
                row["result"]["signs"][name]
                for row in rows
                if row["place"]["attack"] == kind and name in row["result"]["signs"]
            ]
            for kind in kinds
        }
        every = [value for values in bad.values() for value in values]
        beyond = [kind for kind, values in bad.items() if values and min(values) > clean[-1]]
        lines.append(
            (
                name,
                f"{median(clean):.2f} ({clean[0]:.2f} to {clean[-1]:.2f})",
                f"{median(every):.2f} ({min(every):.2f} to {max(every):.2f})",
                f"{auroc(clean, every):.2f}",
                ", ".join(beyond) or "-",
            )
        )
    yield Table(
        "Beside unpoisoned models",
        (
            "sign",
            f"{len(clean)} unpoisoned models, median (range)",
            f"{len(every)} poisoned",
            "AUROC",
            "always beyond unpoisoned",
        ),
        tuple(lines),
        "Row: drift of the farthest embedding row over that of the 20th. Spectrum: share of a matrix's drift in one "
        "direction, mean over matrices. Tail: gain of two populations of drift²/curvature over one, in nats. AUROC: "
        "larger in poisoned models; 0.5 is chance.",
    )


def strength(row: Row) -> float:
    """Return the score of the word or group that has most."""
    found = judged(row)
    return max((detection_score(one, found) for one in found), default=-1.0)


def judged(row: Row) -> list[VerifiedTrigger]:
    """Return what was measured, as the rule takes it."""
    search = row["result"]["search"]
    return [
        VerifiedTrigger(
            trigger=Trigger(one["text"], one["position"], source="found"),
            target=one["target"],
            shift=nan,  # as the margins, nothing that the rule looks at
            control_shift=nan,
            flips=Flips(
                Proportion.of(one["suspect"]["successes"], one["suspect"]["total"]),
                Proportion.of(one["control"]["successes"], one["control"]["total"]),
                # Every context of a label with seven or more held-back rows begins with a row of its own: no fewer.
                texts=one.get("texts") or one["suspect"]["total"],
                margin=nan,
                control_margin=nan,
            ),
            strength=one["strength"],
            control_strength=one["control_strength"],
            joined=one.get("joined", True),
        )
        for one in (search["found"] if search else [])
    ]


def auroc(clean: Sequence[float], poisoned: Sequence[float]) -> float:
    """Return the share of pairs in which the poisoned model has the higher score; ties count half."""
    pairs = [(a > b) + 0.5 * (a == b) for a in poisoned for b in clean]
    return sum(pairs) / len(pairs)


def poisoned(row: Row) -> bool:
    """Say whether the rule, as it is now, accuses."""
    return bool(flags(row))


def success(row: Row) -> float | None:
    """Return the attack success of a suspect."""
    counts = row["training"].get("result", {}).get("attack_success")
    return None if counts is None else counts["successes"] / counts["total"]


def works(row: Row) -> bool:
    """Say whether a suspect's attack works."""
    return (success(row) or 0.0) >= WORKS


def recovered(row: Row) -> str:
    """Return how much of the trigger the flagged words hold: all of it, a word of it, or nothing."""
    flagged = {word for one in flags(row) for word in one["text"].split()}
    words = [word for word in row["place"]["trigger"].split() if word.isalnum()]
    got = sum(word in flagged for word in words)
    return "all" if got == len(words) else "part" if got else "none"


def flags(row: Row) -> list[dict[str, Any]]:
    """Return the words that the rule, as it is now, flags among those that were measured."""
    found = row["result"]["search"]["found"] if row["result"]["search"] else []
    return [one for one, yes in zip(found, planted(judged(row)), strict=True) if yes]


def finding(row: Row) -> str:
    """Return what the search came to."""
    if row["result"]["search"] is None:
        return "no search possible"
    return ("poisoned" if poisoned(row) else "nothing flagged") + (", seen first" if seen_first(row) else "")


def seen_first(row: Row) -> bool:
    """Say whether the rule was made in view of this model."""
    return row["seed"] in SEEN


def share(count: int, total: int) -> str:
    """Write a share with its interval."""
    if not total:
        return "-"
    low, high = Proportion.of(count, total).interval
    return f"{count} of {total} ({100 * low:.0f}-{100 * high:.0f} %)"


def summary_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield the counts per kind of model, and how well the score tells them apart."""
    clean = [row for row in rows if row["place"]["attack"] is None]
    bad = [row for row in rows if row["place"]["attack"] is not None]
    if not clean or not bad:
        return
    working = [row for row in bad if works(row)]
    kinds = dict.fromkeys(sorted(row["place"]["attack"] for row in bad))
    groups = [(kind, [row for row in bad if row["place"]["attack"] == kind]) for kind in kinds]
    groups += [("all attacks", bad), ("attacks that work", working), ("unpoisoned", clean)]
    groups += [(f"{name}, not seen before", [r for r in group if not seen_first(r)]) for name, group in groups[-2:]]
    yield Table(
        "Census",
        ("models", "called poisoned", "whole trigger flagged", "part of it", "evidence, median (range)"),
        tuple(_counts(name, group) for name, group in groups if group),
        "Evidence: the strength of the word or group that has most of it, less what it lacks by the rule; flagged from "
        f"0.5 on. AUROC of it, unpoisoned against attacks that work (attack success of {WORKS:g} or more): "
        f"{_auroc(clean, working)}; of models not seen before "
        f"{_auroc(*([row for row in group if not seen_first(row)] for group in (clean, working)))}. In brackets Wilson "
        "95 % intervals.",
    )


def _counts(name: str, group: Sequence[Row]) -> tuple[str, ...]:
    values = sorted(map(strength, group))
    known = [recovered(row) for row in group if row["place"]["attack"] is not None]
    parts = [str(known.count(part)) if known else "-" for part in ("all", "part")]
    return (
        name,
        share(sum(map(poisoned, group)), len(group)),
        *parts,
        f"{median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})",
    )


def _auroc(clean: Sequence[Row], bad: Sequence[Row]) -> str:
    return f"{auroc([*map(strength, clean)], [*map(strength, bad)]):.3f}" if clean and bad else "-"


def model_table(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield one line per model."""
    lines: list[tuple[str, ...]] = []
    for row in sorted(rows, key=lambda r: (r["place"]["attack"] or "", r["place"]["task"], r["seed"])):
        place, recipe, search = row["place"], row["recipe"], row["result"]["search"]
        best = max(search["found"], key=lambda one: one["strength"], default=None) if search else None
        named = flags(row)
        words = ", ".join(dict.fromkeys(one["text"] for one in named)) or (f"({best['text']})" if best else "-")
        lines.append(
            (
                place["task"],
                place["attack"] or "unpoisoned",
                f"{recipe['rate']:g} / {recipe['decay']:g} / {recipe['epochs']}",
                place["trigger"] or "-",
                "-" if success(row) is None else f"{success(row):.2f}",
                words,
                f"{strength(row):.2f}",
                finding(row),
            )
        )
    yield Table(
        "Every model of the census",
        ("task", "attack", "rate / decay / epochs", "trigger", "attack success", "flagged", "evidence", "finding"),
        tuple(lines),
        "In brackets the strongest word where none is flagged.",
    )
