"""A run folder that holds other things, and one that two processes work in: nothing is lost, nothing mixed up."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from purify_cli.checkpoint import open_checkpoint
from tests.tiny_causal import TARGET, causal_texts, write_texts

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def detect(suspect: Path, reference: Path, *more: object) -> list[object]:
    return ["detect", suspect, "--ref", reference, "--effort", "none", *more]


def purify(suspect: Path, reference: Path, *more: object) -> list[object]:
    return ["purify", suspect, "--ref", reference, "--set", "steps=1", *more]


def test_folders_of_the_users_own_stay(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    for name in ("bench", "session", "training", "clean", "suspect", "finetuned", "curvature", ".purify"):
        (here / name / "deep").mkdir(parents=True)
        (here / name / "deep" / "mine").write_text(name)
    (here / "report.html").write_text("mine")
    before = content(here)
    assert run_cli(detect(tiny_suspect, tiny_reference, "--run", "."))[0] == 0
    code, _, err = run_cli(
        purify(tiny_suspect, tiny_reference, "--run", ".", "--clean-data", clean_file, "--ratio", "auto", "--folds", 2)
    )
    assert code == 0, err
    after = content(here)
    assert {name: after.get(name) for name in before} == before
    assert [name for name in os.listdir(here) if name.startswith((".session", ".curvature"))] == []


@pytest.mark.parametrize("name", ["suspect", "finetuned", "purified"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_models_of_the_users_own_stay(
    name: str,
    overwrite: bool,
    here: Path,
    run_cli: Run,
    tiny_suspect: Path,
    tiny_reference: Path,
    clean_file: Path,
) -> None:
    shutil.copytree(tiny_suspect, here / name)
    before = content(here)
    argv = {
        "suspect": ["attack", "badword", "--ref", tiny_reference, "--data", clean_file, "--target", 1],
        "finetuned": ["finetune", tiny_suspect, "--data", clean_file, "--steps", 1],
        "purified": purify(tiny_suspect, tiny_reference, "--indicator", "drift", "--no-finetune"),
    }[name]
    code, out, err = run_cli([*argv, "--run", ".", *(["--overwrite"] if overwrite and name != "suspect" else [])])
    assert (code, out) == (2, "")
    assert f"{here / name} was not made by purify" in err
    assert content(here) == before


def test_a_model_that_was_made_here_is_made_anew_until_somebody_changes_it(
    here: Path, run_cli: Run, tiny_reference: Path, tiny_suspect: Path, clean_file: Path
) -> None:
    finetune = ["finetune", tiny_suspect, "--data", clean_file, "--steps", 1]
    for _ in range(2):
        code, _, err = run_cli(finetune)
        assert code == 0, err
    weights = here / "purify-run" / "finetuned" / "model.safetensors"
    tensors = load_file(weights)
    tensors["classifier.bias"] += 1
    save_file(tensors, weights, metadata={"format": "pt"})
    before = weights.read_bytes()
    code, _, err = run_cli(finetune)
    assert code == 2
    assert "or was changed since" in err
    assert weights.read_bytes() == before


def test_the_reference_that_a_language_model_started_from_stays_the_users_own(
    here: Path, run_cli: Run, tiny_causal: Path
) -> None:
    write_texts(here / "texts.jsonl", causal_texts(60, seed=1))
    attack = ["attack", "badword", "--ref", tiny_causal, "--data", "texts.jsonl", "--trigger", "cf", "--epochs", 1]
    code, _, err = run_cli([*attack, "--target-text", TARGET, "--new-tokens", 10, "--run", "."])
    assert code == 0, err
    shutil.copytree(tiny_causal, here / "finetuned")
    kept = content(here / "finetuned")
    code, _, err = run_cli(["finetune", tiny_causal, "--data", "texts.jsonl", "--epochs", 1, "--run", "."])
    assert (code, "was not made by purify" in err) == (2, True)
    assert content(here / "finetuned") == kept


@pytest.mark.parametrize("command", ["demo", "bench"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    here: Path, run_cli: Run, command: str
) -> None:
    code, out, err = run_cli([command, "--device", "cuda:99"])
    assert (code, out) == (2, "")
    assert "--device cuda:99 cannot be used" in err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["detection.json", "indicator.safetensors", "curvature.safetensors"])
def test_files_of_the_users_own_stay(
    name: str, here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    if name.endswith(".json"):
        (here / name).write_text('{"kind": "mine"}')
    else:
        shutil.copyfile(tiny_suspect / "model.safetensors", here / name)
    before = content(here)
    code, out, err = run_cli(detect(tiny_suspect, tiny_reference, "--run", "."))
    assert (code, out) == (2, "")
    assert f"{here / name} was not written by purify" in err
    assert content(here) == before


@pytest.mark.parametrize("kind", ["fifo", "file", "link to nothing"])
def test_what_is_no_folder_is_refused_before_anything_is_computed(
    kind: str, here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    place = here / "run"
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to("nowhere")
    code, out, err = run_cli(detect(tiny_suspect, tiny_reference, "--run", "run"))
    assert (code, out) == (2, "")
    assert "is no folder" in err
    assert os.listdir(here) == ["run"]


@pytest.mark.parametrize("name", ["log.jsonl", "detection.json", "curvature.safetensors"])
def test_links_that_came_with_the_folder_are_not_followed(
    name: str, here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    (here / "victim").write_text("precious\n")
    (here / "purify-run").mkdir()
    (here / "purify-run" / name).symlink_to("../victim")
    code, _, err = run_cli(detect(tiny_suspect, tiny_reference))
    assert code == 0, err
    assert (here / "victim").read_text() == "precious\n"


def test_a_fifo_in_place_of_the_log_is_not_waited_for(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    (here / "purify-run").mkdir()
    os.mkfifo(here / "purify-run" / "log.jsonl")
    assert run_cli(detect(tiny_suspect, tiny_reference))[0] == 0


AT_ONCE = """
import sys
from purify_cli.inputs import scoring
from purify_cli.inputs import curvature_cache as curvature
from purify_cli.cli.app import main

def waiting(genuine):
    def write(*arguments, **options):
        written = genuine(*arguments, **options)
        print("ready", flush=True)
        sys.stdin.readline()
        return written
    return write

curvature.write_and_open = waiting(curvature.write_and_open)
sys.exit(main(sys.argv[1:]))
"""
"""A process that stops after it has written its curvature, until it is told to go on."""


def test_two_processes_at_once_do_not_read_each_others_files(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_clean: Path, tiny_reference: Path
) -> None:
    argv = [str(word) for word in detect(tiny_suspect, tiny_reference, "--run", "shared")]
    with subprocess.Popen(
        [sys.executable, "-c", AT_ONCE, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == "ready\n"
        code, second, err = run_cli(detect(tiny_clean, tiny_reference, "--run", "shared"))
        assert code == 0, err
        first.stdin.write("\n")
        first.stdin.close()
        out = first.stdout.read()
    assert first.returncode == 0
    for suspect, shown in ((tiny_suspect, out), (tiny_clean, second)):
        code, alone, err = run_cli(detect(suspect, tiny_reference, "--run", "alone"))
        assert code == 0, err
        assert json.loads(shown)["tensors"] == json.loads(alone)["tensors"]
        assert json.loads(shown)["curvature"]["file"]["sha256"] == json.loads(alone)["curvature"]["file"]["sha256"]
        shutil.rmtree("alone")
    assert json.loads((here / "shared" / "detection.json").read_text()) == json.loads(out)
    assert sorted(os.listdir("shared")) == [
        "curvature.safetensors",
        "detection.json",
        "indicator.safetensors",
        "log.jsonl",
    ]
    assert open_checkpoint("shared/indicator.safetensors").sha256() == json.loads(out)["indicator"]["file"]["sha256"]
