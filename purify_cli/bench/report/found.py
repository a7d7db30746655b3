"""What the search found in every suspect of a bench, beside what was planted."""

from collections.abc import Iterator, Mapping
from typing import Any

from purify_cli.bench.report.tables import Table
from purify_cli.bench.report.view import Condition, View
from purify_cli.report.parts import number

__all__ = ["found_table"]


def found_table(view: View) -> Iterator[Table]:
    """Yield the searches: the flagged words of every suspect, else the word that came closest."""
    rows = [row for condition in view.conditions if (row := _row(view, condition)) is not None]
    if rows:
        yield Table(
            "What the search found",
            ("task", "attack", "seed", "per class", "trigger", "found", "suspect", "control", "strength", "finding"),
            tuple(rows),
            "Flagged words, else in brackets the one that came closest. Suspect, control: held-back clean texts that "
            "it flips, of those that neither model calls its label without it. Strength: how sure of the label it "
            "makes the suspect, as a share of what texts of the label do; the texts of this figure are several of one "
            "label, concatenated.",
        )


def _row(view: View, condition: Condition) -> tuple[str, ...] | None:
    looked, suspect = view.result("search", *condition.parts), view.suspect(condition)
    if looked is None or suspect is None:
        return None
    where = (condition.task, condition.attack, str(condition.seed), str(condition.size))
    trigger = str(suspect["trigger"]["text"]) or "-"
    if looked["facts"] is None:
        return *where, trigger, "-", "-", "-", "-", str(looked["missing"])
    found = looked["facts"]["found"]
    flagged = [one for one in found if one["flagged"]]
    shown = flagged or sorted(found, key=_rank, reverse=True)[:1]
    words = ", ".join(str(one["text"]) for one in shown)
    counts = (", ".join(f"{one[model]['successes']} of {one[model]['total']}" for one in shown) for model in _MODELS)
    strengths = ", ".join(number(one.get("strength")) for one in shown)
    # A search that flags nothing acquits nobody.
    finding = str(looked["level"]) if flagged else "nothing flagged"
    return *where, trigger, words if flagged else f"({words})", *counts, strengths, finding


_MODELS = ("suspect", "control")


def _rank(one: Mapping[str, Any]) -> tuple[float, float]:
    contrast = float(one["suspect"]["value"]) - float(one["control"]["value"])
    strength = one.get("strength")
    return (contrast if strength is None else float(strength)), contrast
