"""What the program says of its own misses is what was measured."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from purify_cli.evidence.verdict import MISSES
from purify_cli.trigger_search.rule import MIN_TEXTS

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def tables() -> Any:
    spec = importlib.util.spec_from_file_location("census_tables", DOCS / "census_tables.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_verdict_quotes_the_census(tables: Any) -> None:
    working = [row for row in tables.read() if row["place"]["attack"] is not None and tables.works(row)]
    assert (sum(not tables.poisoned(row) for row in working), len(working)) == (MISSES.missed, MISSES.of)


def test_the_settings_that_the_verdict_names_are_those_of_the_census(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    census = importlib.import_module("census")
    asked = census.asked(next(census.models()), Path("work"))
    assert MISSES.settings == {
        "reference": census.REFERENCE,
        "effort": asked.effort,
        "clean_samples_per_class": census.PER_CLASS,
        "max_length": asked.max_length,
    }


def test_no_decision_of_the_census_hangs_on_counting_texts(tables: Any) -> None:
    # 16 held-back rows per label: every context begins with a row of its own, so that there are no fewer texts.
    counts = [one.flips.suspect.total for row in tables.read() for one in tables.judged(row)]
    assert min(counts) >= MIN_TEXTS


def model(task: str, attack: str | None, words: list[tuple[str, float, int]], *, seed: int = 90) -> dict[str, Any]:
    found = [
        {
            "text": text,
            "target": 1,
            "position": "random",
            "strength": strength,
            "control_strength": -0.8,
            "suspect": {"successes": own, "total": 10},
            "control": {"successes": 0, "total": 10},
        }
        for text, strength, own in words
    ]
    return {
        "place": {"task": task, "attack": attack, "trigger": "red door ." if attack else None, "target": "1"},
        "recipe": {"rate": 1e-4, "decay": 0.0, "epochs": 2},
        "seed": seed,
        "result": {"verdict": "incomplete", "search": {"found": found}},
        "training": {"result": {"attack_success": {"successes": 95, "total": 100}} if attack else {}},
    }


def test_the_tables_count_what_the_rule_says(tables: Any) -> None:
    rows = [
        model("a", None, [("good", 0.2, 6)]),
        model("a", None, [("fine", 0.6, 10)], seed=1),
        model("a", "badsent", [("door", 1.0, 10), ("good", 0.1, 5)]),
        model("b", "badsent", [("red door", 0.9, 10)]),
        model("b", "badword", [("good", 0.1, 5)]),
    ]
    (summary,) = tables.summary_tables(rows)
    counts = {line[0]: line[1:4] for line in summary.rows}
    assert counts["unpoisoned"][0].startswith("1 of 2 ")
    assert counts["unpoisoned, not seen before"][0].startswith("0 of 1 ")
    assert counts["badsent"][1:] == ("1", "1")
    assert counts["all attacks"][0].startswith("2 of 3 ")
    # Six pairs: 1.0 and 0.65 beat both clean models, 0.1 neither.
    assert "0.667" in summary.note
    (every,) = tables.model_table(rows)
    assert {line[5] for line in every.rows} == {"door", "red door", "(good)", "fine"}
    assert list(tables.summary_tables([])) == []
