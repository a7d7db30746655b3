"""``purify bench`` from end to end: a plan of seconds on the tiny reference."""

import io
import json
import shutil
import time
from contextlib import redirect_stderr, redirect_stdout
from signal import SIGKILL

import pytest

from purify_cli.cli.app import main
from purify_cli.errors import TrainingDiverged
from tests.bench_worlds import (
    BADWORD,
    BENCH,
    MIXING,
    SURGERY,
    TASK,
    TUNING,
    figures,
    process,
    run_quietly,
    stored,
    write_data,
    write_plan,
)

DETECTORS = ("drift-curvature", "drift", "inverse-curvature", "uniform")
WILD = "learning_rate = 1e30\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def plan(tmp_path_factory, tiny_reference):
    parts = (BENCH, TASK, BADWORD, SURGERY, TUNING, MIXING)
    return write_plan(tmp_path_factory.mktemp("plan") / "small.toml", tiny_reference, *parts)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, plan, data):
    """The work folder of a bench that nothing interrupted, and the document that was printed."""
    work, out, err = tmp_path_factory.mktemp("work"), io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["bench", "--plan", str(plan), "--data", str(data), "--work", str(work), "--format", "json"])
    assert code == 0, err.getvalue()
    return work, json.loads(out.getvalue())


@pytest.fixture(scope="module")
def rows(finished):
    return stored(finished[0] / "results" / "small.jsonl")


@pytest.fixture
def suspects(finished, tmp_path):
    """A work folder that holds the models and no results."""
    shutil.copytree(finished[0] / "suspects", tmp_path / "work" / "suspects")
    return tmp_path / "work"


@pytest.fixture
def without_pictures(monkeypatch):
    """Drawing takes longer than all else that a run of few rows does."""
    monkeypatch.setattr("purify_cli.bench.report.page.plots", lambda view: iter(()))


def cells(rows):
    return {key: row for key, row in rows.items() if row["kind"] == "cell"}


def test_a_bench_leaves_every_row_of_its_plan_and_a_report(finished, rows):
    work, printed = finished
    expected = {"plan"}
    for attack in ("badword", "surgery"):
        expected |= {f"suspect/moods/{attack}/s0"}
        expected |= {f"curve/moods/{attack}/s0/n8/{method}" for method in ("fine-tuning", "fine-mixing")}
        expected |= {f"cell/moods/{attack}/s0/n8/fine-tuning/-"}
        # A budget of 1 lets every ratio pass, so that none is left untried.
        expected |= {f"cell/moods/{attack}/s0/n8/fine-mixing/{ratio}" for ratio in (0.1, 0.5)}
    expected |= {f"detection/moods/surgery/s0/n8/{name}" for name in DETECTORS}
    assert rows.keys() - {f"cell/moods/{a}/s0/n8/fine-mixing/0.0" for a in ("badword", "surgery")} == expected
    assert not any("failed" in row for row in rows.values())
    assert {row["key"]: row for row in printed["rows"]} == rows
    assert printed["plan"] == rows["plan"]["result"]
    written = {str(path.relative_to(work / "report/small")) for path in (work / "report/small").rglob("*.*")}
    assert {"bench.md", "bench.html", "plots/trade-moods-n8.png", "plots/heat-n8-drop0.1.png"} <= written
    assert list((work / "cells").iterdir()) == []
    suspect = rows["suspect/moods/badword/s0"]["result"]
    success = {of: suspect[of]["attack_success"] for of in ("measured", "twin")}
    assert success["measured"]["successes"] > success["twin"]["successes"]


def test_every_method_gets_the_same_suspect_the_same_clean_rows_and_the_same_tuning(rows):
    for attack in ("badword", "surgery"):
        own = [row for row in rows.values() if row["kind"] != "plan" and row["place"]["attack"] == attack]
        assert len({row["suspect"] for row in own}) == 1
        for mark in ("reference", "train", "taken", "tool"):
            assert len({row["inputs"][mark] for row in own}) == 1
    for cell in cells(rows).values():
        found = cell["result"]
        assert found["losses"] is not None
        assert found["accuracy"]["total"] == 60
        assert found["reset"] == round((cell["place"]["ratio"] or 0) * found["dimensions"])


def test_a_search_is_bound_to_the_clean_rows_and_not_to_the_test_rows(rows):
    for row in rows.values():
        if row["kind"] in {"curve", "detection"}:
            assert set(row["inputs"]) == {"reference", "tool", "train", "taken"}
        elif row["kind"] in {"cell", "suspect"}:
            assert set(row["inputs"]) == {"reference", "tool", "train", "taken", "test"}
    curve = rows["curve/moods/badword/s0/n8/fine-mixing"]["result"]
    assert curve["baseline"]["total"] == 16
    assert [point["accuracy"]["total"] for point in curve["points"]] == [16, 16]
    assert rows["curve/moods/badword/s0/n8/fine-tuning"]["result"]["points"] is None


def test_other_test_rows_change_what_is_measured_and_nothing_that_is_chosen(
    run_cli, finished, rows, plan, data, suspects, tmp_path, without_pictures
):
    """A test file in which every label is wrong and every text holds the trigger."""
    poisoned = shutil.copytree(data, tmp_path / "poisoned")
    lines = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    changed = [{"text": f"cf {row['text']}", "label": 1 - row["label"]} for row in lines]
    (poisoned / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    start = ["bench", "--plan", plan, "--data", poisoned, "--work", suspects, "--only", "attack=badword"]
    assert run_cli(start)[0] == 0
    found = stored(suspects / "results/small.jsonl")
    for key, row in found.items():
        if row["kind"] == "curve":
            assert figures(row) == figures(rows[key])
        elif row["kind"] != "plan":
            assert row["inputs"] != rows[key]["inputs"]
    measured, before = (of["suspect/moods/badword/s0"]["result"]["measured"]["accuracy"] for of in (found, rows))
    assert measured["successes"] < before["successes"]
    # Over the results that are there: what saw the test rows is measured again, the searches are not.
    results = shutil.copy(finished[0] / "results/small.jsonl", tmp_path / "kept.jsonl")
    old = results.read_bytes()
    assert run_cli([*start, "--results", results])[0] == 0
    assert results.read_bytes().startswith(old)
    added = [json.loads(line)["kind"] for line in results.read_bytes()[len(old) :].splitlines()]
    assert sorted(set(added)) == ["cell", "suspect"]


def test_a_second_run_measures_nothing_even_where_the_models_are_gone(run_cli, finished, plan, data, tmp_path):
    results = finished[0] / "results/small.jsonl"
    before = results.read_bytes()
    start = ["bench", "--plan", plan, "--data", data, "--work", tmp_path / "elsewhere", "--results", results]
    code, out, err = run_cli([*start, "--format", "json"])
    assert code == 0, err
    assert json.loads(out) == finished[1]
    assert results.read_bytes() == before
    assert not (tmp_path / "elsewhere/suspects").exists()


def test_a_report_alone_needs_the_results_file_only_and_gives_the_same_bytes(run_cli, finished, tmp_path):
    results = finished[0] / "results/small.jsonl"
    code, out, err = run_cli(
        ["bench", "--report-only", "--results", results, "--report", tmp_path / "again", "--format", "text"]
    )
    assert code == 0, err
    assert out == (finished[0] / "report/small/bench.md").read_text()
    for made in (finished[0] / "report/small").rglob("*.*"):
        again = tmp_path / "again" / made.relative_to(finished[0] / "report/small")
        assert again.read_bytes() == made.read_bytes(), made.name
    assert not (tmp_path / "purify-bench").exists()


def _start(*argv):
    return process(run_quietly, ["bench", *map(str, argv)])


def _lines(results):
    return results.read_bytes().count(b"\n") if results.is_file() else 0


def test_kill_9_at_any_row_costs_that_row_and_no_other(rows, plan, data, tmp_path):
    results = tmp_path / "results.jsonl"
    argv = ("--plan", plan, "--data", data, "--work", tmp_path / "work", "--results", results)
    only, twin = ("--only", "attack=surgery"), tmp_path / "work/suspects/moods-clean-s0/finetuned"
    expected = {key: row for key, row in rows.items() if key == "plan" or row["place"]["attack"] == "surgery"}
    before, codes = b"", []
    # 1: the plan alone is there. 0: the twin has been trained, and the suspect not. Then detection, curves and cells.
    for wanted in (1, 0, 2, 4, 7, 9):
        run = _start(*argv, *only)
        while run.is_alive() and not (_lines(results) >= wanted if wanted else twin.exists()):
            time.sleep(0.002)
        run.kill()
        run.join()
        codes.append(run.exitcode)
        after = results.read_bytes()
        assert after.startswith(before)
        assert after.count(b"\n") >= wanted
        before = after[: after.rindex(b"\n") + 1]
        with results.open("ab") as file:
            file.write(b'{"key": "cell/moo')  # what a power cut in the middle of a write leaves
    assert codes.count(-SIGKILL) >= 4  # all six, unless this process was held up
    run = _start(*argv, *only)
    run.join()
    assert run.exitcode == 0
    assert results.read_bytes().startswith(before)
    found = stored(results)
    assert _lines(results) == len(found)
    assert {key: figures(row) for key, row in found.items()} == {k: figures(row) for k, row in expected.items()}


def test_shards_side_by_side_leave_what_one_process_does(rows, plan, data, tmp_path, run_cli):
    results = tmp_path / "results.jsonl"
    argv = ("--plan", plan, "--data", data, "--work", tmp_path / "work", "--results", results)
    shards = [_start(*argv, "--shard", f"{number}/2") for number in (1, 2)]
    for shard in shards:
        shard.join()
    assert [shard.exitcode for shard in shards] == [0, 0]
    assert not (tmp_path / "work/report").exists()  # it would be the report of a part
    found = stored(results)
    assert _lines(results) == len(found)
    assert {key: figures(row) for key, row in found.items()} == {key: figures(row) for key, row in rows.items()}


def test_a_shard_measures_its_part_alone(run_cli, plan, data, suspects):
    start = ["bench", "--plan", plan, "--data", data, "--work", suspects, "--only", "method=fine-tuning"]
    done = []
    for shard in ("2/2", "1/2"):
        code, _, err = run_cli([*start, "--shard", shard])
        assert code == 0, err
        done.append({key for key in stored(suspects / "results/small.jsonl") if key != "plan"})
    assert all("/surgery/" in key for key in done[0])
    assert done[1] - done[0]
    assert all("/badword/" in key for key in done[1] - done[0])


def test_what_diverges_is_recorded_with_its_reason_and_the_rest_goes_on(
    run_cli, tiny_reference, data, suspects, rows, tmp_path, without_pictures
):
    parts = (BENCH, TASK, BADWORD, 'label = "wild"\n', WILD, BADWORD, MIXING, WILD, TUNING)
    wild = write_plan(tmp_path / "wild.toml", tiny_reference, *parts)
    results = suspects / "results/small.jsonl"
    start = ["bench", "--plan", wild, "--data", data, "--work", suspects]
    code, out, err = run_cli([*start, "--format", "text"])
    assert code == 0, err
    found = stored(results)
    failed = {key for key, row in found.items() if "failed" in row}
    assert failed == {"suspect/moods/wild/s0", "curve/moods/badword/s0/n8/fine-mixing"}
    for key in failed:
        assert found[key]["failed"]["error"] == "TrainingDiverged"
        assert "training diverged" in found[key]["failed"]["reason"]
        assert f"| {key} | TrainingDiverged |" in out
    key = "cell/moods/badword/s0/n8/fine-tuning/-"
    assert found[key]["result"] == rows[key]["result"]
    before = results.read_bytes()
    assert run_cli(start)[0] == 0
    assert results.read_bytes() == before
    assert run_cli([*start, "--retry"])[0] == 0
    added = [json.loads(line) for line in results.read_bytes()[len(before) :].splitlines()]
    assert {row["key"] for row in added} == failed
    assert len(added) == 2


def test_retry_replaces_a_failure_by_what_is_measured_then(
    run_cli, monkeypatch, finished, rows, plan, data, suspects, without_pictures
):
    from purify_cli.bench.case import BenchCase

    def diverge(*_):
        raise TrainingDiverged("training diverged: the loss is nan", hint="")

    start = ["bench", "--plan", plan, "--data", data, "--work", suspects, "--only", "attack=badword"]
    with monkeypatch.context() as patch:
        patch.setattr(BenchCase, "cell", diverge)
        assert run_cli(start)[0] == 0
    key = "cell/moods/badword/s0/n8/fine-tuning/-"
    found = stored(suspects / "results/small.jsonl")
    assert found[key]["failed"] == {"error": "TrainingDiverged", "reason": "training diverged: the loss is nan"}
    assert all("failed" in row for row in cells(found).values())
    assert run_cli([*start, "--retry"])[0] == 0
    again = stored(suspects / "results/small.jsonl")
    assert {k: figures(row) for k, row in again.items()} == {k: figures(rows[k]) for k in found}


def test_a_changed_setting_of_one_method_measures_that_method_alone(
    run_cli, finished, tiny_reference, data, suspects, tmp_path, without_pictures
):
    results = shutil.copy(finished[0] / "results/small.jsonl", tmp_path / "kept.jsonl")
    old = results.read_bytes()
    parts = (BENCH, TASK, BADWORD, SURGERY, TUNING, MIXING, "learning_rate = 5e-4\n")
    changed = write_plan(tmp_path / "small.toml", tiny_reference, *parts)
    start = ["bench", "--plan", changed, "--data", data, "--work", suspects, "--results", results]
    assert run_cli([*start, "--only", "attack=badword"])[0] == 0
    assert results.read_bytes().startswith(old)
    first, *added = [json.loads(line) for line in results.read_bytes()[len(old) :].splitlines()]
    assert first["kind"] == "plan"
    assert {row["place"]["method"] for row in added} == {"fine-mixing"}
    assert {row["place"]["attack"] for row in added} == {"badword"}


def test_results_and_models_of_another_plan_are_refused(run_cli, finished, tiny_reference, data, suspects, tmp_path):
    parts = [BENCH, TASK, BADWORD, TUNING]
    other = write_plan(tmp_path / "other.toml", tiny_reference, *parts).read_text().replace('"small"', '"other"')
    (tmp_path / "other.toml").write_text(other)
    results = finished[0] / "results/small.jsonl"
    before = results.read_bytes()
    start = ["bench", "--data", data, "--work", suspects]
    code, out, err = run_cli([*start, "--plan", tmp_path / "other.toml", "--results", results])
    assert (code, out) == (2, "")
    assert "holds results from another plan, 'small'" in err
    assert results.read_bytes() == before
    parts[1] = TASK.replace("epochs = 3", "epochs = 4")
    longer = write_plan(tmp_path / "longer.toml", tiny_reference, *parts)
    code, out, err = run_cli([*start, "--plan", longer])
    assert (code, out) == (2, "")
    assert "moods-clean-s0 is a run folder from another plan: its epochs is 3, the plan's 4" in err


def test_a_suspect_that_was_changed_by_hand_is_refused(run_cli, plan, data, suspects):
    weights = suspects / "suspects/moods-badword-s0/suspect/model.safetensors"
    shutil.copy(suspects / "suspects/moods-clean-s0/finetuned/model.safetensors", weights)
    code, out, err = run_cli(["bench", "--plan", plan, "--data", data, "--work", suspects, "--only", "attack=badword"])
    assert (code, out) == (2, "")
    assert "has changed since its record was made" in err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--only", "attack=badwort"], "the plan has no attack 'badwort'"),
        (["--only", "colour=red"], "is not KIND=NAME"),
        (["--shard", "3/2"], "--shard 3/2 is not K/N"),
        (["--shard", "0/2"], "--shard 0/2 is not K/N"),
        (["--report-only"], "there is no results file"),
        ([], "it is not known where that is"),
        (["--data", "/nowhere"], "there is no file /nowhere/train.jsonl"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(run_cli, plan, tmp_path, more, said):
    code, out, err = run_cli(["bench", "--plan", plan, "--work", tmp_path / "work", *more])
    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "work").exists()
