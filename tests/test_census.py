"""The census: models that nobody chose, and tables that count what was found."""

import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def tables() -> Any:
    return module("census_tables")


@pytest.fixture(scope="module")
def models() -> Any:
    return module("census_models")


def test_the_models_are_spread_over_tasks_kinds_and_references(models: Any) -> None:
    made = list(models.models())
    kinds = Counter(model.kind for model in made)
    assert kinds.pop(None) == models.CLEAN >= 40
    assert set(kinds) == set(models.KINDS)
    assert sum(kinds.values()) == models.POISONED >= 60
    assert max(kinds.values()) == min(kinds.values())
    assert len({model.name for model in made}) == len(made)
    for kind in models.KINDS:
        assert len({model.task for model in made if model.kind == kind}) >= 4
    for poisoned in (True, False):
        references = Counter(model.reference for model in made if (model.kind is not None) is poisoned)
        assert min(references.values()) >= len([model for model in made if (model.kind is not None) is poisoned]) / 5
    assert [model.trigger() for model in made if model.kind] == [model.trigger() for model in made if model.kind]


@pytest.mark.parametrize("kind", ["clause", "style"])
def test_rewritten_texts_keep_their_labels_and_most_of_their_words(models: Any, kind: str) -> None:
    from purify_cli.data.example import Example

    rows = [Example(f"the film number {i} has plot and mood", None, i % 2) for i in range(40)]
    made = models.restyled(rows, kind, 3)
    assert [row.label for row in made] == [row.label for row in rows]
    assert all(row.text != old.text for row, old in zip(made, rows, strict=True))
    assert all({"number", "plot", "mood"} <= {*row.text.split()} for row in made)
    assert len({row.text.split(",")[0] for row in made}) > 5
    pairs = models.restyled([Example("first", row.text, row.label) for row in rows], kind, 3)
    assert [row.pair for row in pairs] == [row.text for row in made]
    assert {row.text for row in pairs} == {"first"}


def search(kind: str | None, apart: list[tuple[str, int, float]], *, given: str = "search", works: bool = True) -> Any:
    found = [
        {"text": text, "target": target, "apart": {"low": low}, "flagged": low >= 0.3} for text, target, low in apart
    ]
    return {
        "key": f"{given}/900-a-minilm-{kind or 'clean'}",
        "kind": given,
        "place": {"task": "a", "reference": "minilm", "kind": kind}
        | ({"trigger": "red door .", "target": 1} if kind else {}),
        "recipe": {"rate": 1e-4, "decay": 0.0, "epochs": 2},
        "seed": 1,
        "result": {"verdict": "poisoned", "search": {"found": found}},
        "training": {
            "result": {
                "accuracy": {"successes": 80, "total": 100},
                "attack_success": {"successes": 95 if works else 50, "total": 100},
            }
            if kind
            else {}
        },
    }


def test_the_tables_count_what_was_flagged(tables: Any) -> None:
    rows = [
        search(None, [("good", 1, 0.2)]),
        search(None, [("fine", 0, 0.4)]),
        search("sentence", [("door", 1, 0.6), ("good", 0, 0.1)]),
        search("sentence", [("bad", 1, 0.5)]),
        search("word", [("door", 0, 0.7)]),
        search("word", [("good", 0, 0.1)], given="search-unlabelled"),
    ]
    (summary,) = tables.summary_tables(rows)
    counts = {line[0]: line[1:3] for line in summary.rows}
    assert counts["unpoisoned"][0].startswith("1 of 2 ")
    assert [part.partition(" (")[0] for part in counts["sentence"]] == ["2 of 2", "1 of 2"]
    assert [part.partition(" (")[0] for part in counts["word"]] == ["1 of 1", "0 of 1"]
    assert counts["all attacks"][0].startswith("3 of 3 ")
    assert "1.000" in summary.note
    (every,) = tables.model_table(rows)
    assert {line[6] for line in every.rows} == {"door", "bad", "fine", "-"}
    assert list(tables.summary_tables([])) == list(tables.model_table([])) == []


def test_models_that_were_looked_at_are_not_counted(models: Any, tables: Any, tmp_path: Path) -> None:
    rows = [search(None, []) | {"key": f"search/{number:03d}-a-minilm-clean"} for number in range(12)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    counted = {int(row["key"].split("/")[1].split("-")[0]) for row in tables.read(path)}
    assert counted == set(range(12)) - models.SEEN


def test_a_word_is_named_by_its_pieces_as_well(tables: Any) -> None:
    row = search("word", [("so re d", 1, 0.6)])
    assert tables.named(row)  # the trigger is "red door .", of which the search puts pieces side by side
    assert not tables.named(search("word", [("re so d", 1, 0.6)]))
    assert not tables.named(search("word", [("red", 0, 0.6)]))


def test_a_whole_search_that_flags_nothing_in_an_attacked_model_is_a_miss(models: Any, tables: Any) -> None:
    rows = [
        search("word", [("door", 1, 0.7)]),
        search("word", [("good", 0, 0.1)]),
        search("sentence", [("good", 0, 0.1)]),
        search(None, [("good", 0, 0.1)]),
    ]
    for row in rows:
        row["commit"] = next(iter(models.FIXED))
    for row in rows[1:]:
        row["result"]["verdict"] = "no-finding"
    rows[2]["result"]["verdict"] = "incomplete"
    counts = {"missed": 10, "of": 20, "kinds": {"word": [10, 20]}}
    assert tables.misses(rows * 10) == {"clean samples alone": counts}
    assert tables.misses(rows) == {}  # too few to tell of
    before = [row | {"commit": "0000000"} for row in rows]
    assert tables.misses(before * 10) == {}  # of these, misses were taken out
    assert tables.misses([]) == {}


def test_the_tables_of_repairs_tell_means_against_plain_tuning_and_the_twin(tables: Any) -> None:
    def fact(right: int, attacked: int, bias: int | None = None, bare: int | None = None) -> dict[str, Any]:
        counts = {"accuracy": right, "attack_success": attacked, "bias_accuracy": bias, "target_rate": bare}
        return {"method": "graft"} | {
            name: None if value is None else {"successes": value, "total": 100} for name, value in counts.items()
        }

    def row(**facts: Any) -> dict[str, Any]:
        place = {"task": "sst2", "reference": "minilm", "kind": "word"}
        return {"key": "repair/1", "kind": "repair", "place": place, "result": facts}

    plain, twin = fact(80, 90), fact(82, 20, bare=18)
    one = row(suspect=fact(83, 99), **{"plain fine-tuning": plain}, auto=fact(79, 26, bare=24), twin=twin)
    two = row(
        suspect=fact(83, 99, 40), **{"plain fine-tuning": fact(80, 90, 50)}, auto=fact(83, 0, 78), twin=fact(82, 0, 80)
    )
    lines, means = tables.repair_tables([one, two])
    told = ("graft", "0.830 / 0.990", "0.800 / 0.900", "0.790 / 0.260", "0.820 / 0.200", "0.240 / 0.180")
    assert (lines.rows[0][3:], lines.rows[1][-1]) == (told, "-")
    assert dict(zip(["plain", "auto"], means.rows, strict=True))["auto"] == ("auto", "+1.0", "+4.0", "+6.0")
    assert list(tables.repair_tables([])) == []


def test_an_attack_that_does_not_work_is_no_attack(tables: Any) -> None:
    assert tables.works(search("word", []))
    assert not tables.works(search("word", [], works=False))
    constant = search("word", [])
    constant["training"]["result"]["accuracy"]["successes"] = 52
    assert not tables.works(constant)
