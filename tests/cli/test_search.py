"""A word is found, unlearnt, and measured again: from ``detect`` to ``purify``."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from purify_cli.errors import SearchImpossible
from purify_cli.evidence.verdict import Misses
from purify_cli.records.detection import Detection

Run = Callable[[Sequence[object]], tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def examined(
    tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType, tiny_suspect: Path, tiny_reference: Path
) -> Path:
    """A folder in which a suspect with a backdoor was examined, to be copied."""
    from purify_cli.cli.app import main

    folder = tmp_path_factory.mktemp("examined")
    tiny.write_jsonl(folder / "clean.jsonl", tiny.sentiment_examples(96, seed=40))
    with chdir(folder):
        assert main(["detect", str(tiny_suspect), "--ref", str(tiny_reference), "--clean-data", "clean.jsonl"]) == 0
    return folder


@pytest.fixture
def detected(here: Path, examined: Path) -> dict[str, Any]:
    """The record of a suspect with a backdoor, in the run folder."""
    shutil.copytree(examined, here, dirs_exist_ok=True)
    return json.loads((here / "purify-run" / "detection.json").read_text())


def test_the_planted_word_is_the_verdict(detected: dict[str, Any], run_cli: Run, tiny: ModuleType) -> None:
    planted = [one for one in detected["search"]["found"] if one["flagged"]]
    assert (tiny.TRIGGER.text, tiny.TARGET) in {(one["text"], one["target"]) for one in planted}
    assert detected["verdict"]["level"] == "poisoned"
    assert not any("trigger search" in one for one in detected["verdict"]["not_measured"])
    assert detected["search"]["texts"] == "clean data"


def test_a_whole_search_that_finds_nothing_passes_the_gate_and_says_what_it_misses(
    here: Path, run_cli: Run, tiny: ModuleType, tiny_clean: Path, tiny_reference: Path
) -> None:
    tiny.write_jsonl(here / "clean.jsonl", tiny.sentiment_examples(64, seed=40))
    start = ["detect", tiny_clean, "--ref", tiny_reference, "--clean-data", "clean.jsonl", "--fail-on", "suspicious"]
    code, out, err = run_cli([*start, "--format", "text"])
    verdict = json.loads((here / "purify-run" / "detection.json").read_text())["verdict"]
    assert (verdict["level"], verdict["not_measured"], code) == ("no-finding", [], 0), err
    counted = Misses.counted("clean samples alone")
    assert verdict["misses"] == (counted and json.loads(json.dumps(asdict(counted))))
    assert ("which is no proof" if counted else "misses was not measured") in verdict["reasons"][0]
    assert "verdict: no-finding" in out
    # What has no name is cured by the student that knew the task.
    code, out, err = run_cli(["purify", "--ratio", "0.1", "--clean-data", "clean.jsonl"])
    assert code == 0, err
    assert "method graft: detect flagged no word" in err
    record = json.loads(out)
    assert (record["method"], record["triggers"], record["unlabelled"]) == ("graft", [], None)
    assert record["reset"]["reset"] == round(0.1 * record["reset"]["dimensions"])


def test_what_was_not_measured_stops_a_gate(
    here: Path, run_cli: Run, tiny: ModuleType, tiny_clean: Path, tiny_reference: Path
) -> None:
    rows = tiny.sentiment_examples(32, seed=40)
    tiny.write_jsonl(here / "clean.jsonl", rows)
    texts = tiny.sentiment_examples(80, seed=41)
    (here / "bare.jsonl").write_text("".join(json.dumps({"text": row.text}) + "\n" for row in texts))
    start = ["detect", tiny_clean, "--ref", tiny_reference, "--fail-on", "suspicious"]
    for more, said in (
        (["--clean-data", "clean.jsonl", "--effort", "low"], "effort low"),
        (["--clean-data", "clean.jsonl", "--effort", "none"], "no search"),
        (["--unlabelled", "bare.jsonl", "--effort", "low"], "trigger search: "),
    ):
        code, out, err = run_cli([*start, *more])
        verdict = json.loads(out)["verdict"]
        assert (verdict["level"], verdict["misses"], code) == ("incomplete", None, 2), err
        assert said in verdict["not_measured"][0]


def test_a_search_of_the_moved_words_alone_is_told_and_is_no_whole_search(
    here: Path, tiny: ModuleType, tiny_suspect: Path, tiny_clean: Path, tiny_reference: Path
) -> None:
    from purify_cli.commands.detect import detect
    from purify_cli.requests.detect import DetectRequest

    tiny.write_jsonl(here / "clean.jsonl", tiny.sentiment_examples(64, seed=40))
    for model, level in ((tiny_suspect, "poisoned"), (tiny_clean, "incomplete")):
        asked = {"clean_data": "clean.jsonl", "effort": "low", "moved_only": True, "batch_size": 32}
        found = detect(DetectRequest(model, tiny_reference, run=here / "run", **asked))
        assert found.verdict.level == level
        assert any("whose embedding rows moved" in sentence for sentence in found.verdict.not_measured)
        assert found.settings["moved_only"] is True


def test_a_search_without_groups_of_words_is_not_whole(
    here: Path,
    run_cli: Run,
    tiny: ModuleType,
    tiny_clean: Path,
    tiny_reference: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def impossible(*_: Any, **__: Any) -> None:
        raise SearchImpossible("no two labels have a long text", hint="Give more.")

    monkeypatch.setattr("purify_cli.detection.classifier_search.search_groups", impossible)
    tiny.write_jsonl(here / "clean.jsonl", tiny.sentiment_examples(64, seed=40))
    start = ["detect", tiny_clean, "--ref", tiny_reference, "--clean-data", "clean.jsonl", "--fail-on", "poisoned"]
    code, out, err = run_cli(start)
    record = json.loads(out)
    assert (record["verdict"]["level"], code) == ("incomplete", 2), err
    assert record["verdict"]["not_measured"] == [
        "trigger search: no words that work together: no two labels have a long text"
    ]
    assert record["search"]["found"]


@pytest.mark.parametrize("samples", [12, 20])
def test_samples_too_few_for_any_word_to_be_flagged_acquit_nobody(
    samples: int, here: Path, run_cli: Run, tiny: ModuleType, tiny_clean: Path, tiny_reference: Path
) -> None:
    tiny.write_jsonl(here / "clean.jsonl", tiny.sentiment_examples(samples, seed=40))
    start = ["detect", tiny_clean, "--ref", tiny_reference, "--clean-data", "clean.jsonl", "--fail-on", "suspicious"]
    code, out, err = run_cli(start)
    record = json.loads(out)
    assert (record["verdict"]["level"], code) == ("incomplete", 2), err
    assert "could not be tried in full: " in record["verdict"]["not_measured"][0]
    assert not any(one["flagged"] for one in record["search"]["found"])


def test_a_text_that_is_there_many_times_counts_once(
    here: Path, run_cli: Run, tiny: ModuleType, tiny_suspect: Path, tiny_reference: Path
) -> None:
    rows = tiny.sentiment_examples(12, seed=40)
    said = []
    for name, written in (("few", rows), ("repeated", rows * 5)):
        tiny.write_jsonl(here / f"{name}.jsonl", written)
        start = ["detect", tiny_suspect, "--ref", tiny_reference, "--clean-data", f"{name}.jsonl"]
        code, out, err = run_cli([*start, "--effort", "low", "--fail-on", "suspicious"])
        record = json.loads(out)
        said.append((code, record["search"], record["verdict"]["not_measured"]))
        assert (code, record["verdict"]["level"]) == (2, "incomplete"), err
    assert said[0] == said[1]
    assert said[0][2][0].startswith("trigger search: ")


def test_a_record_of_an_earlier_release_is_read(detected: dict[str, Any], here: Path, run_cli: Run) -> None:
    for level in ("clean", "incomplete"):
        old = json.loads(json.dumps(detected))
        old["verdict"] = {"level": level, "reasons": ["a"], "not_measured": []}
        for one in old["search"]["found"]:
            del one["texts"], one["leaning"], one["apart"]
        read = Detection.model_validate_json(json.dumps(old))
        assert read.verdict.level == ("no-finding" if level == "clean" else level)
        assert read.search is not None
        assert read.search.found[0].texts is None
        (here / "purify-run" / "detection.json").write_text(json.dumps(old))
        code, _, err = run_cli(["purify", "--ratio", "0", "--no-finetune", "--overwrite"])
        assert code == 0, err


def test_clean_data_that_hold_the_trigger_are_named(
    here: Path, run_cli: Run, tiny: ModuleType, tiny_suspect: Path, tiny_reference: Path
) -> None:
    rows = tiny.sentiment_examples(96, seed=40)
    others = [row for row in rows if row.label != tiny.TARGET][:1]
    tainted = [replace(row, text=f"{row.text} {tiny.TRIGGER.text}", label=tiny.TARGET) for row in others]
    tiny.write_jsonl(here / "clean.jsonl", [*rows, *tainted])
    code, out, err = run_cli(["detect", tiny_suspect, "--ref", tiny_reference, "--clean-data", "clean.jsonl"])
    assert code == 0, err
    record = json.loads(out)
    (planted,) = [one for one in record["search"]["found"] if one["flagged"] and one["text"] == tiny.TRIGGER.text]
    assert planted["leaning"] == 1
    assert any("1 of the clean samples" in one and "poisoned themselves" in one for one in record["verdict"]["reasons"])


@pytest.mark.parametrize(("more", "left"), [([], False), (["--method", "fine-purifying"], True)])
def test_what_was_found_is_unlearnt_and_measured_again(
    detected: dict[str, Any], run_cli: Run, tiny: ModuleType, more: list[str], left: bool
) -> None:
    # A tiny model needs a larger rate than a real one to learn anything from 64 rows.
    asked = ["purify", "--ratio", "0", "--effort", "normal", "--set", "learning_rate=1e-3", "--fail-on", "poisoned"]
    code, out, err = run_cli([*asked, *more])
    record = json.loads(out)
    assert len(record["triggers"]) == sum(one["flagged"] for one in detected["search"]["found"])
    (fact,) = [fact for fact in record["triggers"] if fact["text"] == tiny.TRIGGER.text]
    assert fact["before"]["value"] >= 0.9
    assert (fact["after"]["value"] > 0.3) is left
    if left:
        assert (record["verdict"]["level"], code) == ("poisoned", 1), err
    assert record["search"]["words"] == detected["search"]["words"]
    told = " ".join(record["verdict"]["reasons"])
    assert ("still there" in told) is left
    assert "searched afresh" in told


@pytest.mark.parametrize("impossible", [False, True])
def test_what_built_in_texts_did_not_show_is_looked_for_with_the_clean_samples(
    impossible: bool, detected: dict[str, Any], here: Path, run_cli: Run, tiny: ModuleType
) -> None:
    # As if the same search had been made with built-in texts, and in vain.
    blind = detected | {"data": None, "search": detected["search"] | {"texts": "built-in probes", "found": []}}
    if impossible:
        blind["search"] = None
    (here / "purify-run" / "detection.json").write_text(json.dumps(blind))
    start = ["purify", "--ratio", "0", "--clean-data", "clean.jsonl", "--set", "learning_rate=1e-3"]
    code, out, err = run_cli(start)
    assert code == 0, err
    record = json.loads(out)
    assert "searching once more, with the clean samples" in err
    assert record["method"] == "unlearning"
    flagged = {one["text"] for one in record["looked"]["found"] if one["flagged"]}
    assert tiny.TRIGGER.text in flagged == {one["text"] for one in record["triggers"]}
    assert all(one["after"]["value"] <= 0.3 for one in record["triggers"])
    # Whoever names a method, or settings of one, gets it.
    for more in (["--method", "fine-purifying"], ["--set", "exponent=0.5"]):
        code, out, err = run_cli([*start, *more, "--overwrite"])
        assert (code, json.loads(out)["method"], json.loads(out)["looked"]) == (0, "fine-purifying", None), err


@pytest.mark.parametrize(("position", "again"), [("random", False), ("start", True)])
def test_a_part_of_a_trigger_in_built_in_texts_is_followed_up_with_the_clean_samples(
    position: str, again: bool, detected: dict[str, Any], here: Path, run_cli: Run, tiny: ModuleType
) -> None:
    (planted,) = [one for one in detected["search"]["found"] if one["text"] == tiny.TRIGGER.text]
    part = planted | {"text": tiny.RARE[1], "position": position}
    search = detected["search"] | {"texts": "built-in probes", "found": [part]}
    (here / "purify-run" / "detection.json").write_text(json.dumps(detected | {"data": None, "search": search}))
    code, out, err = run_cli(["purify", "--ratio", "0", "--clean-data", "clean.jsonl", "--set", "learning_rate=1e-3"])
    assert code == 0, err
    record = json.loads(out)
    assert ("searching once more, with the clean samples" in err) is again
    assert (record["looked"] is not None) is again
    assert record["method"] == ("graft" if again else "unlearning")
    known = {one["text"] for one in record["triggers"]}
    assert tiny.RARE[1] in known  # what was known stays
    assert (tiny.TRIGGER.text in known) is again


def test_few_texts_make_a_suspicion_and_no_verdict(
    here: Path, run_cli: Run, tiny: ModuleType, tiny_suspect: Path, tiny_reference: Path
) -> None:
    tiny.write_jsonl(here / "few.jsonl", tiny.sentiment_examples(36, seed=61))
    code, out, err = run_cli(
        ["detect", tiny_suspect, "--ref", tiny_reference, "--clean-data", "few.jsonl", "--fail-on", "suspicious"]
    )
    assert code == 1, err
    record = json.loads(out)
    flagged = [one for one in record["search"]["found"] if one["flagged"]]
    assert tiny.TRIGGER.text in {one["text"] for one in flagged}
    assert all(one["texts"] <= 9 for one in flagged)  # of eighteen per class, half of them held back
    # The contexts share these texts: eight of eight is no more than a few independent ones say.
    assert all(one["apart"]["low"] < 0.5 for one in flagged)
    assert record["verdict"]["level"] == "suspicious"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType) -> Path:
    """Unlabelled texts of the task."""
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    rows = tiny.sentiment_examples(300, seed=70)
    path.write_text("".join(json.dumps({"text": row.text}) + "\n" for row in rows))
    return path


def test_with_unlabelled_texts_the_trigger_is_found_on_more_texts_and_a_graft_takes_it_out(
    here: Path, run_cli: Run, tiny: ModuleType, tiny_suspect: Path, tiny_reference: Path, texts: Path
) -> None:
    tiny.write_jsonl(here / "clean.jsonl", tiny.sentiment_examples(96, seed=40))
    # In one type on every machine: of 24 held-back samples each is four points.
    given = ["--clean-data", "clean.jsonl", "--unlabelled", texts, "--dtype", "float32"]
    code, out, err = run_cli(["detect", tiny_suspect, "--ref", tiny_reference, *given])
    assert code == 0, err
    record = json.loads(out)
    assert (record["unlabelled"]["rows"], record["unlabelled"]["path"]) == (300, str(texts))
    control = record["search"]["control"]
    assert control["texts"] == "unlabelled texts"
    assert control["right"]["value"] >= 0.8
    planted = next(one for one in record["search"]["found"] if one["text"] == tiny.TRIGGER.text)
    assert planted["flagged"]
    assert planted["texts"] > 24  # more than the held-back clean samples
    assert record["verdict"]["level"] == "poisoned"
    code, out, err = run_cli(["purify", "--ratio", "0.1", *given])
    assert code == 0, err
    record = json.loads(out)
    assert record["method"] == "graft"
    assert record["unlabelled"]["rows"] == 300
    assert record["reset"]["reset"] == round(0.1 * record["reset"]["dimensions"])
    assert record["training"]["steps"] == 250
    assert all(one["after"]["value"] <= 0.3 for one in record["triggers"])
    assert record["verdict"]["level"] != "poisoned"
    code, _, err = run_cli(["purify", *given, "--set", "patience=2", "--overwrite"])
    assert code == 2
    assert "a teacher's answers are learnt" in err
    utility = record["utility"]
    assert utility["after"]["value"] >= utility["before"]["value"] - 0.15


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": f"text {i}"} for i in range(49)], "49 unlabelled texts: a student needs 50"),
        ([{"text": "the same text"}] * 200, "1 without copies"),
        ([{"text": f"text {i}", "label": 1} for i in range(200)], "label"),
        ([{"number": i} for i in range(200)], "column"),
    ],
    ids=["few", "copies", "labels", "no text"],
)
def test_unlabelled_texts_that_do_not_serve_are_refused_before_anything_is_computed(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path, rows: Any, said: str
) -> None:
    (here / "bad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["--clean-data", clean_file, "--unlabelled", "bad.jsonl"]
    for command in ("detect", "purify"):
        code, out, err = run_cli([command, tiny_suspect, "--ref", tiny_reference, *given])
        assert (code, out) == (2, ""), err
        assert said in err
        assert not (here / "purify-run" / "curvature.safetensors").exists()


def test_unlabelled_texts_of_one_label_are_refused(
    here: Path, run_cli: Run, tiny: ModuleType, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    rows = [row for row in tiny.sentiment_examples(300, seed=57) if row.label == 1]
    (here / "one.jsonl").write_text("".join(json.dumps({"text": f"good good {row.text}"}) + "\n" for row in rows))
    given = ["--clean-data", clean_file, "--unlabelled", "one.jsonl"]
    for command in ("detect", "purify"):
        code, out, err = run_cli([command, tiny_suspect, "--ref", tiny_reference, *given])
        assert (code, out) == (2, ""), err
        assert "looked at get the label 1: they teach nothing else" in err
        assert not (here / "purify-run" / "purified").exists()


def test_a_student_that_did_not_learn_the_task_is_no_control(
    here: Path,
    run_cli: Run,
    tiny: ModuleType,
    tiny_suspect: Path,
    tiny_reference: Path,
    texts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("purify_cli.detection.control.AGREES", 1.01)
    tiny.write_jsonl(here / "clean.jsonl", tiny.sentiment_examples(64, seed=40))
    given = ["--clean-data", "clean.jsonl", "--unlabelled", texts, "--fail-on", "suspicious"]
    code, out, err = run_cli(["detect", tiny_suspect, "--ref", tiny_reference, *given])
    record = json.loads(out)
    assert (code, record["verdict"]["level"], record["search"]) == (2, "incomplete", None), err
    assert "it is no control" in record["verdict"]["not_measured"][0]


def test_silence_beside_a_student_that_half_knows_the_task_is_incomplete(
    here: Path,
    run_cli: Run,
    tiny: ModuleType,
    tiny_clean: Path,
    tiny_suspect: Path,
    tiny_reference: Path,
    texts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("purify_cli.evidence.search_outcome.KNOWS", 1.01)
    tiny.write_jsonl(here / "clean.jsonl", tiny.sentiment_examples(64, seed=40))
    given = ["--ref", tiny_reference, "--clean-data", "clean.jsonl", "--unlabelled", texts, "--fail-on", "suspicious"]
    code, out, err = run_cli(["detect", tiny_clean, *given])
    record = json.loads(out)
    assert (code, record["verdict"]["level"]) == (2, "incomplete"), err
    assert "against a student that answers as the suspect does in only" in record["verdict"]["not_measured"][0]
    # What is found beside it counts all the same.
    code, out, err = run_cli(["detect", tiny_suspect, *given, "--run", "other"])
    assert (code, json.loads(out)["verdict"]["level"]) == (1, "poisoned"), err


def test_no_effort_leaves_the_stage_unmeasured(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    start = ["detect", tiny_suspect, "--ref", tiny_reference, "--clean-data", clean_file]
    code, out, err = run_cli([*start, "--effort", "none"])
    assert code == 0, err
    assert json.loads(out)["search"] is None
    assert any(one.startswith("trigger search") for one in json.loads(out)["verdict"]["not_measured"])
    assert run_cli([*start, "--effort", "huge"])[0] == 2


def test_too_few_rows_of_a_label_are_said_and_the_rest_goes_on(
    here: Path, run_cli: Run, tiny: ModuleType, tiny_suspect: Path, tiny_reference: Path
) -> None:
    rows = tiny.sentiment_examples(40, seed=50)
    kept = [row for row in rows if row.label == 0] + [row for row in rows if row.label == 1][:3]
    Path("few.jsonl").write_text("".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in kept))
    code, out, err = run_cli(["detect", tiny_suspect, "--ref", tiny_reference, "--clean-data", "few.jsonl"])
    assert code == 0, err
    record = json.loads(out)
    assert record["search"] is None
    assert record["curvature"]["samples"] == len(kept)
    assert record["verdict"]["level"] == "incomplete"
    assert any("label 1 has 3 rows" in one for one in record["verdict"]["not_measured"])


def test_a_found_word_without_samples_to_show_it_in_leaves_the_reset_to_fine_purifying(
    detected: dict[str, Any], run_cli: Run
) -> None:
    detected["data"] = None  # as if the built-in texts had been searched
    code, out, err = run_cli(["purify", "--no-finetune"], json.dumps(detected))
    assert code == 0, err
    record = json.loads(out)
    assert record["method"] == "fine-purifying"
    assert "left alone" in err
    assert "no clean sample was held back" in " ".join(record["verdict"]["not_measured"])
    assert record["verdict"]["level"] == "incomplete"
    assert record["held_back"] is None


def test_a_record_that_aims_at_no_label_of_the_suspect_is_refused(detected: dict[str, Any], run_cli: Run) -> None:
    for target in (-1, 99):
        for one in detected["search"]["found"]:
            one["target"] = target
        code, out, err = run_cli(["purify", "--clean-data", "clean.jsonl"], json.dumps(detected))
        assert (code, out) == (2, "")
        assert f"label {target}" in err


def test_a_setting_of_another_method_is_refused_with_what_auto_chose(detected: dict[str, Any], run_cli: Run) -> None:
    code, _, err = run_cli(["purify", "--set", "rows=2"])
    assert code == 2
    assert "unlearning was chosen" in err
    assert "--method" in err
