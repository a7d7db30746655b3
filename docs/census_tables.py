"""The tables of the census, from its results alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from purify_cli.detection.planted import Judged, planted
from purify_cli.measures.intervals import Proportion
from purify_cli.report.bench_tables import Table

__all__ = ["RESULTS", "model_table", "read", "summary_tables"]

RESULTS: Final = Path(__file__).parent / "results" / "census.jsonl"

Row = Mapping[str, Any]

WORKS: Final = 0.9
"""Attack success from which an attack counts as one that worked; of a bias, called the target at the same share."""


SEEN: Final = 29
"""Models with a number up to this one were measured when the rule was written down."""


def read(path: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the searched models, each with its training; later rows of a key replace earlier ones."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = {row["key"]: row for row in map(json.loads, lines)}
    found = [row for row in rows.values() if row["kind"] == "search" and "result" in row]
    return [row | {"training": rows.get(row["key"].replace("search/", "train/"), {})} for row in found]


def strength(row: Row) -> float:
    """Return the strength of the strongest word that the control resists, flagged or not."""
    search = row["result"]["search"]
    found = [one for one in (search or {"found": []})["found"] if one["control"]["value"] <= 0.3]
    return max((float(one["strength"]) for one in found), default=-9.0)


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
    search = row["result"]["search"]
    found = search["found"] if search else []
    judged = [
        Judged(
            words=len(one["text"].split()),
            target=one["target"],
            position=one["position"],
            suspect=Proportion(one["suspect"]["successes"], one["suspect"]["total"]),
            control=Proportion(one["control"]["successes"], one["control"]["total"]),
            strength=one["strength"],
        )
        for one in found
    ]
    return [one for one, yes in zip(found, planted(judged), strict=True) if yes]


def finding(row: Row) -> str:
    """Return what the search came to."""
    if row["result"]["search"] is None:
        return "no search possible"
    return ("poisoned" if poisoned(row) else "clean") + (", seen first" if seen_first(row) else "")


def seen_first(row: Row) -> bool:
    """Say whether the rule was made in view of this model."""
    return row["seed"] <= SEEN


def share(count: int, total: int) -> str:
    """Write a share with its interval."""
    if not total:
        return "-"
    low, high = Proportion(count, total).interval
    return f"{count} of {total} ({100 * low:.0f}-{100 * high:.0f} %)"


def summary_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield the counts per kind of model, and how well the strength tells them apart."""
    lines: list[tuple[str, ...]] = []
    clean = [row for row in rows if row["place"]["attack"] is None]
    bad = [row for row in rows if row["place"]["attack"] is not None]
    kinds = dict.fromkeys(sorted(row["place"]["attack"] for row in bad))
    groups = [("clean", clean), *((kind, [r for r in bad if r["place"]["attack"] == kind]) for kind in kinds)]
    groups += [("all attacks", bad), ("attacks that work", [row for row in bad if works(row)])]
    for name, group in groups:
        if not group:
            continue
        values = sorted(map(strength, group))
        known = [recovered(row) for row in group if row["place"]["attack"] is not None]
        lines.append(
            (
                name,
                share(sum(map(poisoned, group)), len(group)),
                str(known.count("all")) if known else "-",
                str(known.count("part")) if known else "-",
                f"{median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})",
            )
        )
    if not clean or not bad:
        return
    scores = [[strength(row) for row in group] for group in (clean, bad, [row for row in bad if works(row)])]
    yield Table(
        "Census",
        ("models", "called poisoned", "whole trigger flagged", "part of it", "strongest word, median (range)"),
        tuple(lines),
        f"AUROC of the strongest word's strength, clean against all attacks {auroc(scores[0], scores[1]):.3f}, against "
        f"those that work (attack success of {WORKS:g} or more) {auroc(scores[0], scores[2]):.3f}. In brackets Wilson "
        "95 % intervals.",
    )


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
                place["attack"] or "clean",
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
        ("task", "attack", "rate / decay / epochs", "trigger", "attack success", "flagged", "strength", "finding"),
        tuple(lines),
        "In brackets the strongest word where none is flagged.",
    )
