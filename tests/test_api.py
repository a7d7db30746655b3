"""The commands as functions: they leave and return what the commands print."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification

import purify_cli
from purify_cli.errors import UsageError

Run = Callable[[Sequence[object]], tuple[int, str, str]]


def test_detect_purify_and_evaluate_return_what_the_commands_print(
    tmp_path: Path,
    run_cli: Run,
    tiny_suspect: Path,
    tiny_reference: Path,
    clean_file: Path,
    test_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    def printed(*argv: object) -> dict[str, Any]:
        code, out, err = run_cli([*argv, "--run", "cli"])
        assert code == 0, err
        return json.loads(out)

    def plain(record: Any) -> dict[str, Any]:
        return json.loads(record.model_dump_json().replace(f"{tmp_path}/api", f"{tmp_path}/cli"))

    found = purify_cli.detect(tiny_suspect, tiny_reference, clean_data=clean_file, effort="none", seed=3, run="api")
    named = ("detect", tiny_suspect, "--ref", tiny_reference)
    assert plain(found) == printed(*named, "--clean-data", clean_file, "--effort", "none", "--seed", 3)
    done = purify_cli.purify(clean_data=clean_file, ratio=0.2, settings={"steps": 8}, run="api")
    assert plain(done) == printed("purify", "--clean-data", clean_file, "--ratio", 0.2, "--set", "steps=8")
    AutoModelForSequenceClassification.from_pretrained(done.output.path)
    measured = purify_cli.evaluate(data=test_file, trigger="cf", target=1, run="api")
    assert plain(measured) == printed("evaluate", "--data", test_file, "--trigger", "cf", "--target", 1)
    assert [model.accuracy.total for model in measured.models] == [200, 200]


def test_the_lines_of_the_readme_run(
    tmp_path: Path,
    tiny: ModuleType,
    tiny_suspect: Path,
    tiny_reference: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suspect").symlink_to(tiny_suspect)
    (tmp_path / "bert-base").symlink_to(tiny_reference)
    tiny.write_jsonl(tmp_path / "small.jsonl", tiny.sentiment_examples(64, seed=40))
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    lines = readme.partition("## In Python")[2].partition("##")[0]
    exec(dedent(lines), {})
    path, _, level = capsys.readouterr().out.strip().rpartition(" ")
    assert Path(path) == tmp_path / "purify-run" / "purified"
    record = json.loads((Path(path) / "purification.json").read_text(encoding="utf-8"))
    assert (record["verdict"]["level"], record["method"]) == (level, "unlearning")


def test_attack_and_finetune_make_models(
    tmp_path: Path, tiny: ModuleType, tiny_reference: Path, train_file: Path, test_file: Path
) -> None:
    shared: dict[str, Any] = {"reference": tiny_reference, "epochs": 1, "learning_rate": 1e-3}
    made = purify_cli.attack("badword", data=train_file, target=tiny.TARGET, trigger="cf", run=tmp_path / "a", **shared)
    tuned = purify_cli.finetune(tiny_reference, data=train_file, epochs=1, batch_size=32, run=tmp_path / "b")
    measured = purify_cli.evaluate(
        [made.suspect.path, tuned.output.path], data=test_file, trigger="cf", target=tiny.TARGET, run=tmp_path / "c"
    )
    assert [model.attack_success.total for model in measured.models] == [100, 100]


def test_what_contradicts_itself_is_refused(
    tmp_path: Path, tiny_suspect: Path, tiny_causal: Path, train_file: Path, test_file: Path
) -> None:
    for aims in ({}, {"target": 1, "target_text": "a"}, {"target_text": "a", "settings": {"rate": 1}}):
        with pytest.raises(UsageError):
            purify_cli.attack("badword", data=train_file, reference=tiny_causal, run=tmp_path, **aims)
    with pytest.raises(UsageError, match="--target-text says nothing about a classifier"):
        purify_cli.evaluate(tiny_suspect, data=test_file, target_text="a", run=tmp_path)
    with pytest.raises(UsageError, match="--target says nothing about a causal"):
        purify_cli.evaluate(tiny_causal, data=test_file, target=1, run=tmp_path)
    with pytest.raises(UsageError, match="weight"):
        purify_cli.evaluate(tiny_suspect, data=test_file, device="weight", run=tmp_path)
