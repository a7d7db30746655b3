"""The tables of the census, from its results alone."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

from census_models import AGAIN, FIXED, FORMS, LABELS, PAIRS, SEEN, trigger_words

from purify_cli.bench.report.tables import Table
from purify_cli.measures.intervals import Proportion
from purify_cli.trigger_search.phrases import PHRASES

__all__ = [
    "RESULTS",
    "clean_signs",
    "misses",
    "model_table",
    "read",
    "repair_tables",
    "repairs",
    "sign_table",
    "signs",
    "summary_tables",
]

RESULTS: Final = Path(__file__).parent / "results" / "census.jsonl"
SIGNS: Final = Path(__file__).parent / "results" / "signs.jsonl"

Row = Mapping[str, Any]

WORKS: Final = 0.9
"""Attack success from which an attack counts as one that worked; of a bias, called the target at the same share."""


ENOUGH: Final = 20
"""Attacks from which on a share that was missed is told of."""

SEARCHES: Final = {"search": "clean samples alone", "search-unlabelled": "with unlabelled texts"}
"""Kinds of row, and what was given."""


def read(path: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the searches, each with its model's training; of an attack that does not work nothing is told.

    Models that were looked at while the rule was made (``SEEN``) are left out.
    """
    rows = _rows(path)
    found = [row for row in rows.values() if row["kind"] in SEARCHES and "result" in row and _unseen(row)]
    joined = [row | {"training": rows.get(f"train/{row['key'].partition('/')[2]}", {})} for row in found]
    return [row for row in joined if row["place"]["kind"] is None or works(row)]


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return key → row; later rows of a key replace earlier ones."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def _number(row: Row) -> int:
    return int(row["key"].partition("/")[2].partition("-")[0])


def _unseen(row: Row) -> bool:
    return _number(row) not in SEEN


def _fair(row: Row) -> bool:
    """Say whether a search is a model's first, and by the rule as it is: from those before, misses were taken out."""
    return row.get("commit") in FIXED and _number(row) not in AGAIN


def signs(path: Path = SIGNS) -> list[dict[str, Any]]:
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


def auroc(clean: Sequence[float], poisoned: Sequence[float]) -> float:
    """Return the share of pairs in which the poisoned model has the higher score; ties count half."""
    pairs = [(a > b) + 0.5 * (a == b) for a in poisoned for b in clean]
    return sum(pairs) / len(pairs)


def evidence(row: Row) -> float:
    """Return what a search is sure of: the largest lower end of what is flipped in the suspect alone."""
    search = row["result"]["search"]
    return max((one["apart"]["low"] for one in search["found"]), default=0.0) if search else 0.0


def flags(row: Row) -> list[dict[str, Any]]:
    """Return the words that were flagged."""
    search = row["result"]["search"]
    return [one for one in search["found"] if one["flagged"]] if search else []


def works(row: Row) -> bool:
    """Say whether a suspect's attack, or bias, works, and it learnt its task: a constant answer needs no trigger."""
    made = row["training"].get("result", {})
    counts, right = made.get("attack_success"), made.get("accuracy")
    if counts is None or right is None:
        return False
    chance = 1 / LABELS.get(row["place"]["task"], 2)
    learnt = Proportion.of(right["successes"], right["total"]).low > chance
    return learnt and counts["successes"] >= WORKS * counts["total"]


def named(row: Row) -> bool:
    """Say whether what is flagged drives to the attacker's label and holds a word of the trigger, or all its pieces."""
    kind = row["place"]["kind"]
    words = trigger_words(kind, row["place"]["trigger"])
    aimed = [one["text"] for one in flags(row) if one["target"] == int(row["place"]["target"])]
    # A neutral phrase names a form or a style, and shares a word with a sentence by chance.
    aimed = [text.split() for text in aimed if kind in FORMS or text not in PHRASES]
    runs = {"".join(text[i:j]) for text in aimed for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
    return bool(words & runs)


def whole(row: Row) -> bool:
    """Say whether a search was whole: it flagged something, or found nothing and says so."""
    return row["result"]["verdict"] != "incomplete"


def misses(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return what was given → how many working attacks a whole search missed, in all and per kind.

    Of searches by the rule as it is (``_fair``).
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, given in SEARCHES.items():
        some = [row for row in rows if row["kind"] == kind and _fair(row)]
        bad = [row for row in some if row["place"]["kind"] is not None and whole(row)]
        if len(bad) >= ENOUGH:
            missed = [row for row in bad if not flags(row)]
            kinds = {
                name: [sum(row["place"]["kind"] == name for row in some) for some in (missed, bad)]
                for name in _kinds(bad)
            }
            found[given] = {"missed": len(missed), "of": len(bad), "kinds": kinds}
    return found


def share(count: int, total: int) -> str:
    """Write a share with its interval."""
    if not total:
        return "-"
    low, high = Proportion.of(count, total).interval
    return f"{count} of {total} ({100 * low:.0f}-{100 * high:.0f} %)"


def summary_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield the counts per kind of model and per reference, and how well the evidence tells them apart."""
    for kind, given in SEARCHES.items():
        some = [row for row in rows if row["kind"] == kind]
        clean = [row for row in some if row["place"]["kind"] is None]
        bad = [row for row in some if row["place"]["kind"] is not None]
        if not clean or not bad:
            continue
        groups = [(name, [row for row in bad if row["place"]["kind"] == name]) for name in _kinds(bad)]
        groups += [("all attacks", bad), ("unpoisoned", clean)]
        halves: list[tuple[str, Callable[[Row], bool]]] = [
            (reference, lambda row, reference=reference: row["place"]["reference"] == reference)
            for reference in dict.fromkeys(row["place"]["reference"] for row in some)
        ]
        halves += [
            ("single texts", lambda row: row["place"]["task"] not in PAIRS),
            ("pairs of texts", lambda row: row["place"]["task"] in PAIRS),
            ("since the rule is fixed", _fair),
        ]
        groups += [
            (f"{name}, {half}", [*filter(among, group)])
            for half, among in halves
            for name, group in (("all attacks", bad), ("unpoisoned", clean))
        ]
        yield Table(
            f"Census, {given}",
            (
                "models",
                "flagged",
                "a word of the trigger, for its label",
                "search not whole",
                "evidence, median (range)",
            ),
            tuple(_counts(name, group) for name, group in groups if group),
            f"Of attacks those with an attack success of {WORKS:g} or more in a suspect that learnt its task. "
            "Evidence: the largest share of held-back contexts that a word flips in the suspect alone, lower end of "
            "its 95 % interval. AUROC of it, unpoisoned against poisoned: "
            f"{auroc([*map(evidence, clean)], [*map(evidence, bad)]):.3f}. In brackets Wilson 95 % "
            "intervals.",
        )


def _kinds(rows: Sequence[Row]) -> list[str]:
    return sorted({row["place"]["kind"] for row in rows})


def _counts(name: str, group: Sequence[Row]) -> tuple[str, ...]:
    values = sorted(map(evidence, group))
    attacked = [row for row in group if row["place"]["kind"] is not None]
    return (
        name,
        share(sum(bool(flags(row)) for row in group), len(group)),
        share(sum(map(named, attacked)), len(attacked)),
        str(sum(not whole(row) for row in group)),
        f"{median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})",
    )


def model_table(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield one line per search."""
    lines: list[tuple[str, ...]] = []
    for row in sorted(rows, key=lambda r: (r["place"]["kind"] or "", r["place"]["task"], r["seed"], r["kind"])):
        place, recipe = row["place"], row["recipe"]
        words = ", ".join(dict.fromkeys(one["text"] for one in flags(row))) or "-"
        lines.append(
            (
                place["task"],
                place["reference"],
                place["kind"] or "unpoisoned",
                f"{recipe['rate']:g} / {recipe['decay']:g} / {recipe['epochs']}",
                place.get("trigger") or "-",
                SEARCHES[row["kind"]],
                words,
                f"{evidence(row):.2f}",
                row["result"]["verdict"],
            )
        )
    if lines:
        yield Table(
            "Every model of the census",
            (
                "task",
                "reference",
                "kind",
                "rate / decay / epochs",
                "trigger",
                "given",
                "flagged",
                "evidence",
                "verdict",
            ),
            tuple(lines),
            "",
        )


REPAIRS: Final = {"repair": "clean samples alone", "repair-unlabelled": "with unlabelled texts"}
LINES: Final = ("suspect", "plain fine-tuning", "auto")
"""Repairs that every line shows; of the others the mean is told."""


def repairs(path: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the repairs of suspects whose attack works."""
    rows = _rows(path)
    found = [row for row in rows.values() if row["kind"] in REPAIRS and row.get("result") and _unseen(row)]
    return [row for row in found if works(row | {"training": rows.get(f"train/{row['key'].partition('/')[2]}", {})})]


def _rate(fact: Mapping[str, int] | None) -> float:
    return float("nan") if fact is None else fact["successes"] / fact["total"]


def _outcome(row: Row, name: str) -> tuple[float, float]:
    """Return accuracy, and attack success or, of a bias, the share of wrong answers on texts that name its victim."""
    fact = row["result"][name]
    bias = fact["bias_accuracy"]
    return _rate(fact["accuracy"]), _rate(fact["attack_success"]) if bias is None else 1 - _rate(bias)


def repair_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield a line per suspect, and the means per method."""
    for kind, given in REPAIRS.items():
        some = [row for row in rows if row["kind"] == kind]
        if not some:
            continue
        lines = [
            (
                row["place"]["task"],
                row["place"]["reference"],
                row["place"]["kind"],
                row["result"]["auto"]["method"],
                *(f"{a:.3f} / {b:.3f}" for a, b in (_outcome(row, name) for name in (*LINES, "twin"))),
                _untriggered(row),
            )
            for row in sorted(some, key=lambda row: (row["place"]["kind"], row["key"]))
        ]
        yield Table(
            f"Repairs, {given}",
            ("task", "reference", "kind", "chosen", *LINES, "unpoisoned twin", "auto / twin, no trigger"),
            tuple(lines),
            "Accuracy / attack success; of a bias in place of the latter the share of wrong answers on texts that name "
            "its victim. Auto: `purify purify --ratio 0.1`. No trigger: the share of untouched texts of other labels "
            "that is called the target, below which attack success cannot fall.",
        )
        methods = [name for name in some[0]["result"] if name not in ("suspect", "twin")]
        yield Table(
            f"Repairs, {given}: means over {len(some)} suspects",
            ("method", "accuracy less plain fine-tuning's", "attack success less the twin's", "worst"),
            tuple(_means(name, some) for name in methods),
            "",
        )


def _untriggered(row: Row) -> str:
    """Write which share of texts of other labels is called the target as they are."""
    facts = [row["result"][name].get("target_rate") for name in ("auto", "twin")]
    return "-" if None in facts else " / ".join(f"{_rate(fact):.3f}" for fact in facts)


def _means(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    lost = [_outcome(row, name)[0] - _outcome(row, "plain fine-tuning")[0] for row in rows]
    left = [_outcome(row, name)[1] - _outcome(row, "twin")[1] for row in rows]
    return (name, f"{100 * fmean(lost):+.1f}", f"{100 * fmean(left):+.1f}", f"{100 * max(left):+.1f}")
