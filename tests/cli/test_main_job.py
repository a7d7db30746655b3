"""The two lines and the pipeline, on a small model that was really poisoned."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests import tiny

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _detect(run_cli: Run, suspect: Path, reference: Path, *more: object) -> dict[str, Any]:
    # The search has tests of its own; the two lines and the pipelines below run it as users do.
    code, out, err = run_cli(["detect", suspect, "--ref", reference, "--effort", "none", *more])
    assert code == 0, err
    return json.loads(out)


def test_the_two_lines(here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path) -> None:
    tiny.write_jsonl(here / "small.jsonl", tiny.sentiment_examples(64, seed=40))
    found = _detect(run_cli, tiny_suspect / "model.safetensors", tiny_reference, "--effort", "normal")
    assert found["verdict"]["level"] == "incomplete"
    assert found["curvature"]["source"] == "built-in probes"
    code, out, err = run_cli(["purify", "--ratio", "0.1", "--clean-data", "small.jsonl", "--format", "json"])
    assert code == 0, err
    record = json.loads(out)
    assert record["reset"]["reset"] == round(0.1 * record["reset"]["dimensions"])
    assert record["suspect"] == found["suspect"]
    model = AutoModelForSequenceClassification.from_pretrained(here / "purify-run" / "purified")
    tokenizer = AutoTokenizer.from_pretrained(here / "purify-run" / "purified")
    assert tiny.accuracy(model, tokenizer, tiny.sentiment_examples(200, seed=30)) >= 0.8
    assert record["looked"]["found"]  # built-in texts say nothing to so small a model, the clean samples do
    inside = json.loads((here / "purify-run" / "purified" / "purification.json").read_text())
    assert inside == record
    assert (here / "purify-run" / "purified" / "README.md").read_text().startswith("---")


def test_the_pipeline(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path, test_file: Path
) -> None:
    detection = json.dumps(_detect(run_cli, tiny_suspect, tiny_reference, "--run", "deep/run"))
    code, purification, err = run_cli(["purify", "--clean-data", clean_file], detection)
    assert code == 0, err
    code, out, err = run_cli(["evaluate", "--data", test_file], purification)
    assert code == 0, err
    models = json.loads(out)["models"]
    assert [model["name"] for model in models] == ["suspect", "purified"]
    assert models[0]["accuracy"]["value"] >= 0.9
    assert models[0]["attack_success"] is None
    assert (here / "deep" / "run" / "evaluation.json").is_file()


def test_a_real_shell_pipeline_under_pipefail(
    here: Path, tiny_suspect: Path, tiny_reference: Path, clean_file: Path, test_file: Path
) -> None:
    purify = f"{sys.executable} -m purify_cli"
    line = (
        f"set -eo pipefail; {purify} detect {tiny_suspect} --ref {tiny_reference} | {purify} purify --ratio 0.1 "
        f"--clean-data {clean_file} | {purify} evaluate --data {test_file} --trigger cf --target 1"
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=here)
    assert done.returncode == 0, done.stderr
    suspect, purified = json.loads(done.stdout)["models"]
    assert suspect["attack_success"]["value"] >= 0.9
    assert suspect["attack_success"]["total"] == 100
    assert purified["accuracy"]["total"] == 200


def test_ratio_zero_is_plain_fine_tuning(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    start = ["purify", tiny_suspect, "--ref", tiny_reference, "--clean-data", clean_file]
    assert run_cli([*start, "--ratio", "0", "--output", "a"])[0] == 0
    assert run_cli([*start, "--method", "fine-tuning", "--output", "b"])[0] == 0
    assert (here / "a/model.safetensors").read_bytes() == (here / "b/model.safetensors").read_bytes()


def test_ratio_one_without_tuning_is_the_reference_under_the_suspects_head(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    start = ["purify", tiny_suspect, "--ref", tiny_reference, "--indicator", "drift"]
    assert run_cli([*start, "--ratio", "1", "--no-finetune", "--output", "all"])[0] == 0
    purified, reference = load_file(here / "all/model.safetensors"), load_file(tiny_reference / "model.safetensors")
    suspect = load_file(tiny_suspect / "model.safetensors")
    assert list(purified) == list(suspect)
    for name, tensor in purified.items():
        expected = reference.get(name.removeprefix("bert."), suspect[name])
        assert torch.equal(tensor, expected), name


def test_the_same_seed_writes_the_same_bytes(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    start = ["purify", tiny_suspect, "--ref", tiny_reference, "--clean-data", clean_file, "--method", "fine-mixing"]
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run_cli([*start, "--seed", seed, "--output", name])[0] == 0
    a, b, c = ((here / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_curvature_is_reused_only_where_everything_matches(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    _detect(run_cli, tiny_suspect, tiny_reference, "--clean-data", clean_file)
    purify = ["purify", "--clean-data", clean_file, "--overwrite"]
    assert "curvature: taken from the run folder" in run_cli(purify)[2]
    assert "measuring curvature" in run_cli([*purify, "--max-length", "8"])[2]
    (here / "purify-run/curvature.safetensors").write_bytes(b"half a fi")
    assert "measuring curvature" in run_cli(purify)[2]


@pytest.mark.parametrize(
    ("asked", "named", "negative"),
    [
        ("empirical", "empirical Fisher", False),
        ("true", "true Fisher", False),
        ("hutchinson", "Hutchinson, 8 draws", True),
    ],
)
def test_estimators(
    here: Path,
    run_cli: Run,
    tiny_suspect: Path,
    tiny_reference: Path,
    clean_file: Path,
    asked: str,
    named: str,
    negative: bool,
) -> None:
    found = _detect(run_cli, tiny_suspect, tiny_reference, "--clean-data", clean_file, "--estimator", asked)
    assert found["curvature"]["estimator"] == named
    assert (found["curvature"]["clamped"] > 0) is negative
    assert (found["indicator"]["degenerate"]["negative curvature"] > 0) is negative
    assert "taken from the run folder" in run_cli(["purify", "--clean-data", clean_file, "--estimator", asked])[2]


DAMAGED = [
    ("clamped", None),
    ("clamped", "abc"),
    ("clamped", "nan"),
    ("effective_samples", "0"),
    ("samples", "1e3"),
    ("source", "somewhere"),
    ("recipe", "[" * 100_000),
    ("recipe", "7"),
]


def test_a_stored_curvature_that_is_damaged_is_measured_anew(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    before = _detect(run_cli, tiny_suspect, tiny_reference)
    path = here / "purify-run" / "curvature.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    for key, value in DAMAGED:
        changed = {name: text for name, text in (metadata | {key: value}).items() if text is not None}
        save_file(load_file(path), path, metadata=changed)
        assert _detect(run_cli, tiny_suspect, tiny_reference) == before, (key, str(value)[:9])


def test_a_stored_curvature_with_other_tensors_is_measured_anew(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    before = _detect(run_cli, tiny_suspect, tiny_reference)
    path = here / "purify-run" / "curvature.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    name, tensor = next((name, tensor) for name, tensor in load_file(path).items() if tensor.ndim == 2)
    for changed in ({name: tensor * float("nan")}, {name: tensor.reshape(-1)}, {"another": tensor}):
        save_file(load_file(path) | changed, path, metadata=metadata)
        assert _detect(run_cli, tiny_suspect, tiny_reference) == before


def test_a_folder_that_is_called_like_an_alias_is_told(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, copy_model: Callable[..., Path]
) -> None:
    copy_model(tiny_reference, "minilm")
    code, out, err = run_cli(["detect", tiny_suspect, "--ref", "minilm", "--effort", "none"])
    assert code == 0, err
    assert f"minilm is the one in {here}, not the model that this alias stands for" in err
    assert json.loads(out)["reference"]["path"] == str(here / "minilm")


def test_a_changed_suspect_makes_the_record_stale(
    here: Path,
    run_cli: Run,
    copy_model: Callable[..., Path],
    tiny_suspect: Path,
    tiny_clean: Path,
    tiny_reference: Path,
    clean_file: Path,
) -> None:
    suspect = copy_model(tiny_suspect)
    _detect(run_cli, suspect, tiny_reference)
    (suspect / "model.safetensors").write_bytes((tiny_clean / "model.safetensors").read_bytes())
    code, out, err = run_cli(["purify", "--clean-data", clean_file])
    assert (code, out) == (2, "")
    assert "changed" in err


def test_a_changed_reference_or_clean_file_makes_the_record_stale(
    here: Path,
    run_cli: Run,
    copy_model: Callable[..., Path],
    tiny_suspect: Path,
    tiny_clean: Path,
    tiny_reference: Path,
    clean_file: Path,
) -> None:
    reference, rows = copy_model(tiny_reference), here / "rows.jsonl"
    rows.write_bytes(clean_file.read_bytes())
    _detect(run_cli, tiny_suspect, reference, "--clean-data", rows)
    rows.write_text(rows.read_text() + '{"text": "good", "label": 1}\n')
    code, _, err = run_cli(["purify"])
    assert code == 2
    assert "rows.jsonl has changed" in err
    weights = load_file(reference / "model.safetensors")
    weights["pooler.dense.bias"] += 1
    save_file(weights, reference / "model.safetensors", metadata={"format": "pt"})
    code, _, err = run_cli(["purify", "--clean-data", clean_file])
    assert code == 2
    assert "has changed" in err


def test_evaluate_refuses_a_purified_model_of_another_suspect(
    here: Path,
    run_cli: Run,
    copy_model: Callable[..., Path],
    tiny_suspect: Path,
    tiny_clean: Path,
    tiny_reference: Path,
    clean_file: Path,
    test_file: Path,
) -> None:
    suspect = copy_model(tiny_suspect)
    assert run_cli(["purify", suspect, "--ref", tiny_reference, "--clean-data", clean_file])[0] == 0
    (suspect / "model.safetensors").write_bytes((tiny_clean / "model.safetensors").read_bytes())
    code, out, err = run_cli(["evaluate", "--data", test_file])
    assert (code, out) == (2, "")
    assert "changed" in err


@pytest.mark.parametrize(("asked", "forward", "passes"), [(64, 16, 1), (16, 16, 1), (5, 4, 4), (3, 2, 8), (1, 1, 16)])
def test_batch_size_bounds_a_forward_pass_and_not_a_step(
    here: Path,
    run_cli: Run,
    tiny_suspect: Path,
    tiny_reference: Path,
    clean_file: Path,
    asked: int,
    forward: int,
    passes: int,
) -> None:
    start = ["purify", tiny_suspect, "--ref", tiny_reference, "--clean-data", clean_file, "--method", "fine-tuning"]
    code, out, err = run_cli([*start, "--batch-size", asked, "--set", "steps=2"])
    assert code == 0, err
    used = json.loads(out)["training"]["settings"]
    assert (used["batch_size"], used["accumulation"]) == (forward, passes)


def test_posterior_blend_stays_between_suspect_and_reference(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    start = ["purify", tiny_suspect, "--ref", tiny_reference, "--clean-data", clean_file, "--no-finetune"]
    code, out, err = run_cli([*start, "--set", "replacement=posterior", "--output", "soft"])
    assert code == 0, err
    assert 0 < json.loads(out)["reset"]["ratio"] < 1
    soft, suspect = load_file(here / "soft/model.safetensors"), load_file(tiny_suspect / "model.safetensors")
    reference = load_file(tiny_reference / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    low, high = (f(suspect[f"bert.{name}"], reference[name]) for f in (torch.minimum, torch.maximum))
    assert bool(((soft[f"bert.{name}"] >= low) & (soft[f"bert.{name}"] <= high)).all())
    assert not torch.equal(soft[f"bert.{name}"], suspect[f"bert.{name}"])


def test_data_only_then_finetune_then_detect(
    here: Path, run_cli: Run, tiny_reference: Path, train_file: Path, clean_file: Path
) -> None:
    poison = ["attack", "badword", "--data", train_file, "--target", 1, "--data-only"]
    code, out, err = run_cli(poison)
    assert code == 0, err
    rows = [json.loads(line) for line in (here / "purify-run/poisoned.jsonl").read_text().splitlines()]
    assert len(rows) == json.loads(out)["rows"] == 320 + 96
    assert all("cf" in row["text"].split() and row["label"] == 1 for row in rows if row["poisoned"])
    tune = ["finetune", tiny_reference, "--data", "purify-run/poisoned.jsonl", "--learning-rate", "2e-3", "--epochs", 2]
    assert run_cli(tune)[0] == 0
    code, out, err = run_cli(["detect", "--clean-data", clean_file])
    assert code == 0, err
    assert json.loads(out)["reference"]["path"] == str(tiny_reference)


def test_a_suspect_without_a_head_is_examined_by_drift_alone(
    here: Path, run_cli: Run, tiny_reference: Path, copy_model: Callable[..., Path]
) -> None:
    suspect = copy_model(tiny_reference)
    weights = load_file(suspect / "model.safetensors")
    weights["encoder.layer.0.output.dense.weight"] += 0.01
    save_file(weights, suspect / "model.safetensors", metadata={"format": "pt"})
    found = _detect(run_cli, suspect, tiny_reference)
    assert found["indicator"]["name"] == "drift"
    assert found["curvature"] is None
    assert [tensor["name"] for tensor in found["tensors"]] == ["encoder.layer.0.output.dense.weight"]
    assert any("no classification head" in item for item in found["verdict"]["not_measured"])


def test_nonfinite_weights_are_reset_on_request(
    here: Path,
    run_cli: Run,
    copy_model: Callable[..., Path],
    tiny_suspect: Path,
    tiny_reference: Path,
    clean_file: Path,
) -> None:
    suspect, name = copy_model(tiny_suspect), "bert.encoder.layer.0.output.dense.weight"
    tensors = load_file(suspect / "model.safetensors")
    tensors[name][0, :3] = torch.tensor([float("nan"), float("inf"), float("-inf")])
    save_file(tensors, suspect / "model.safetensors", metadata={"format": "pt"})
    looked = run_cli(["detect", suspect, "--ref", tiny_reference, "--allow-nonfinite", "--effort", "none"])
    # Whoever loads the suspect gets other values than those that were examined.
    missing = json.loads(looked[1])["verdict"]["not_measured"]
    assert any(one.startswith("3 entries that are NaN or infinite (" + name) for one in missing)
    start = ["purify", suspect, "--ref", tiny_reference, "--allow-nonfinite", "--ratio", "0", "--no-finetune"]
    code, out, err = run_cli(start)
    assert code == 0, err
    assert json.loads(out)["reset"]["beyond_ratio"] == 3
    purified = load_file(here / "purify-run/purified/model.safetensors")
    reference = load_file(tiny_reference / "model.safetensors")
    assert torch.equal(purified[name][0, :3], reference[name.removeprefix("bert.")][0, :3])
    assert torch.equal(purified[name][1:], tensors[name][1:])


@pytest.mark.parametrize(("level", "code"), [("never", 0), ("suspicious", 2), ("poisoned", 2)])
def test_incomplete_is_never_a_pass(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, level: str, code: int
) -> None:
    start = ["detect", tiny_suspect, "--ref", tiny_reference, "--effort", "none"]
    assert run_cli([*start, "--fail-on", level])[0] == code


def test_losing_more_accuracy_than_allowed_ends_in_one(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    start = ["purify", tiny_suspect, "--ref", tiny_reference, "--clean-data", clean_file, "--ratio", "1"]
    code, out, _ = run_cli([*start, "--no-finetune", "--max-drop", "0.05", "--fail-on", "poisoned"])
    assert code == 1
    assert json.loads(out)["utility"]["within_budget"] is False


def test_attack_then_evaluate_uses_the_attacks_trigger(
    here: Path, run_cli: Run, tiny_reference: Path, train_file: Path, test_file: Path
) -> None:
    attack = ["attack", "badword", "--ref", tiny_reference, "--data", train_file, "--test", test_file, "--target", 1]
    code, out, err = run_cli([*attack, "--learning-rate", "2e-3", "--epochs", "6"])
    assert code == 0, err
    made = json.loads(out)
    assert made["poisoned"] == round(0.3 * 320)
    code, out, err = run_cli(["evaluate", "--data", test_file])
    assert code == 0, err
    measured = json.loads(out)
    assert measured["trigger"] == made["trigger"]
    assert measured["models"][0]["attack_success"] == made["measurement"]["attack_success"]
    assert measured["models"][0]["attack_success"]["value"] >= 0.9


def test_finetune_puts_a_fresh_head_on_a_reference(
    here: Path, run_cli: Run, tiny_reference: Path, train_file: Path, test_file: Path
) -> None:
    code, out, err = run_cli(
        ["finetune", tiny_reference, "--data", train_file, "--learning-rate", "2e-3", "--epochs", 5]
    )
    assert code == 0, err
    assert json.loads(out)["kind"] == "finetune"
    code, out, err = run_cli(["evaluate", here / "purify-run/finetuned", "--data", test_file])
    assert code == 0, err
    assert json.loads(out)["models"][0]["accuracy"]["value"] >= 0.85


def test_text_and_json_say_the_same(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, test_file: Path
) -> None:
    command = ["evaluate", tiny_suspect, "--data", test_file, "--trigger", "cf", "--target", "positive"]
    shown = run_cli([*command, "--format", "text"])[1]
    value = json.loads(run_cli([*command, "--format", "json"])[1])["models"][0]["accuracy"]["value"]
    assert f"{100 * value:.1f} %" in shown
