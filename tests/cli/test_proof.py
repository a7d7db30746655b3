"""The proof after a repair: on samples that neither the search chose on nor the repair saw, or none at all."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from purify_cli.data.sampling import hold_out

Run = Callable[[Sequence[object]], tuple[int, str, str]]

QUICK = ["--method", "unlearning", "--ratio", "0", "--set", "learning_rate=1e-3", "--set", "steps=40"]


@pytest.fixture
def told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_cli: Run,
    tiny: ModuleType,
    tiny_suspect: Path,
    tiny_reference: Path,
) -> Callable[..., dict[str, Any]]:
    """Purify the suspect after a search of some samples that flagged its trigger, and return the record."""
    monkeypatch.chdir(tmp_path)

    def purify(
        rows: Sequence[Any], *more: object, word: str = tiny.TRIGGER.text, code: int | None = 0
    ) -> dict[str, Any]:
        tiny.write_jsonl(tmp_path / "clean.jsonl", rows)
        start = ["detect", tiny_suspect, "--ref", tiny_reference, "--effort", "none", "--seed", 5]
        _, out, _ = run_cli([*start, "--clean-data", "clean.jsonl"])
        share = {"successes": 9, "total": 9, "value": 1.0, "low": 0.7, "high": 1.0}
        moved = {"shift": 9.0, "control_shift": 0.0, "suspect": share, "control": share, "strength": 1.0}
        found = {"text": word, "position": "random", "target": tiny.TARGET, "flagged": True, **moved}
        search = {"effort": "normal", "texts": "clean data", "words": 9, "targets": [0, 1], "found": [found]}
        search["control"] = {
            "texts": "unlabelled texts",
            "taught": 9,
            "repeated": 0,
            "steps": 250,
            "right": share,
            "agrees": share,
        }
        (tmp_path / "purify-run" / "detection.json").write_text(json.dumps(json.loads(out) | {"search": search}))
        got, out, err = run_cli(["purify", *QUICK, "--fail-on", "suspicious", *more])
        assert code in (got, None), err
        return json.loads(out)

    return purify


def test_a_quarter_that_the_search_did_not_choose_on_is_the_proof(
    told: Callable[..., dict[str, Any]], tiny: ModuleType
) -> None:
    rows = tiny.sentiment_examples(64, seed=40)
    record = told(rows)
    assert record["verdict"]["level"] == "no-finding"
    proof = record["held_back"]
    # The record's seed, not this run's: the search of detect cut its halves by that.
    assert (proof["measured_on"], proof["seed"], proof["searched"]) == ("held-back clean samples", 5, True)
    chose, _ = hold_out(rows, 0.5, seed=5)
    assert len(proof["rows"]) == 16
    assert not {rows[number - 1].text for number in proof["rows"]} & {row.text for row in chose}
    (fact,) = record["triggers"]
    assert fact["before"]["total"] == fact["after"]["total"] == 8 - fact["left_out"]
    assert (fact["before"]["value"], fact["measured_on"]) == (1.0, "held-back clean samples")
    assert (record["utility"]["measured_on"], record["utility"]["after"]["total"]) == ("held-back clean samples", 16)


@pytest.mark.parametrize(
    ("method", "code"), [("unlearning", 0), ("graft", None)]
)  # so few steps of a graft prove nothing
def test_the_written_model_never_saw_the_proof(
    told: Callable[..., dict[str, Any]], tiny: ModuleType, method: str, code: int | None
) -> None:
    rows = tiny.sentiment_examples(64, seed=40)
    record = told(rows, "--method", method, code=code)
    held = {number - 1 for number in record["held_back"]["rows"]}
    model = Path(record["output"]["path"]) / "model.safetensors"
    before = model.read_bytes()
    # Other texts of the same labels in their places: nothing else may change.
    other = tiny.sentiment_examples(200, seed=77)
    fresh = [next(one for one in other[3 * i :] if one.label == row.label) for i, row in enumerate(rows)]
    changed = [fresh[i] if i in held else row for i, row in enumerate(rows)]
    again = told(changed, "--method", method, "--overwrite", code=code)
    assert {number - 1 for number in again["held_back"]["rows"]} == held
    assert model.read_bytes() == before


def test_few_samples_are_measured_in_two_folds_and_tuned_on_together(
    told: Callable[..., dict[str, Any]], tiny: ModuleType, tmp_path: Path
) -> None:
    rows = tiny.sentiment_examples(12, seed=40)
    record = told(rows, code=2)
    # The half that the search chose on measures nothing, and the other has three texts that the word could flip.
    assert (record["held_back"]["measured_on"], len(record["held_back"]["rows"])) == ("two-fold", 6)
    assert "it takes 4 texts" in record["verdict"]["not_measured"][0]
    others = tiny.sentiment_examples(12, seed=41)
    tiny.write_jsonl(tmp_path / "others.jsonl", others)
    record = told(rows, "--overwrite", "--clean-data", tmp_path / "others.jsonl")
    assert record["held_back"] == {
        "measured_on": "two-fold",
        "rows": list(range(1, 13)),
        "seed": 0,
        "searched": False,
    }
    (fact,) = record["triggers"]
    assert (fact["before"]["total"] + fact["left_out"], fact["measured_on"]) == (6, "two-fold")
    assert (record["utility"]["measured_on"], record["utility"]["before"]["total"]) == ("two-fold", 12)


def test_a_repair_whose_proof_failed_is_poisoned(told: Callable[..., dict[str, Any]], tiny: ModuleType) -> None:
    record = told(tiny.sentiment_examples(64, seed=40), "--method", "fine-tuning", code=1)
    assert record["verdict"]["level"] == "poisoned"
    assert record["triggers"][0]["after"]["value"] > 0.3
    assert "still there" in record["verdict"]["reasons"][0]


def test_without_a_held_back_text_to_flip_nothing_is_called_repaired(
    told: Callable[..., dict[str, Any]], tiny: ModuleType
) -> None:
    rows = tiny.sentiment_examples(64, seed=40)
    few = [row for row in rows if row.label == tiny.TARGET] + [row for row in rows if row.label != tiny.TARGET][:1]
    record = told(few, code=2)
    assert record["verdict"]["level"] == "incomplete"
    assert record["triggers"] == []
    assert "no clean sample was held back" in record["verdict"]["not_measured"][0]


def test_a_budget_and_the_words_share_one_split(told: Callable[..., dict[str, Any]], tiny: ModuleType) -> None:
    rows = tiny.sentiment_examples(64, seed=40)
    plain = ["--method", "fine-tuning"]  # leaves the trigger where it is
    record = told(rows, *plain, "--max-drop", 0.5, "--set", "patience=5", code=1)
    assert len(record["held_back"]["rows"]) == record["utility"]["before"]["total"] == 16
    assert record["utility"]["within_budget"] is True
    assert record["held_back"] == told(rows, *plain, "--overwrite", code=1)["held_back"]
