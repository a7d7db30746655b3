"""What is on the disk when a command fails, is killed, or was given a hostile model: each through the program."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from purify_cli.checkpoint import open_checkpoint
from purify_cli.errors import CheckpointError

Run = Callable[..., tuple[int, str, str]]

WORDS = "embeddings.word_embeddings.weight"

INTERRUPTED = """
import errno, os, signal
from contextlib import contextmanager
from purify_cli.checkpoint import writer

def interrupt(after, ending):
    '''Let model.safetensors grow to a number of bytes and then end the writing.'''
    genuine, watched, written = (writer.locked_aside, os.write), set(), [0]

    @contextmanager
    def aside(path, *, folder):
        with genuine[0](path, folder=folder) as (place, descriptor):
            if path.name == "model.safetensors":
                watched.add(descriptor)
            try:
                yield place, descriptor
            finally:
                watched.discard(descriptor)

    def write(descriptor, data):
        if descriptor not in watched:
            return genuine[1](descriptor, data)
        room = after - written[0]
        if room <= 0:
            ending()
        done = genuine[1](descriptor, memoryview(data)[:room])
        written[0] += done
        return done

    return aside, write

def full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

def killed():
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""Both endings share this text, since the killed one runs in a process of its own."""

KILLED = (
    INTERRUPTED
    + """
import sys
from purify_cli.cli.app import main
writer.locked_aside, os.write = interrupt(int(sys.argv[1]), killed)
sys.exit(main(sys.argv[2:]))
"""
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def purify(suspect: Path, reference: Path, *more: object) -> list[object]:
    """The quickest way from two models to a third."""
    return ["purify", suspect, "--ref", reference, "--indicator", "drift", "--ratio", "0.1", "--no-finetune", *more]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("after", [0, 100, 100_000])
@pytest.mark.parametrize("before", ["an old model", "nothing"])
def test_a_full_disk_leaves_what_was_there(
    before: str,
    after: int,
    here: Path,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
    tiny_suspect: Path,
    tiny_reference: Path,
) -> None:
    out = here / "models" / "out"
    out.parent.mkdir()
    if before == "an old model":
        shutil.copytree(tiny_suspect, out)
    old = content(here)
    tools: dict[str, Callable[..., tuple[object, object]]] = {}
    exec(INTERRUPTED, tools)  # text of this file
    aside, write = tools["interrupt"](after, tools["full"])
    with monkeypatch.context() as patch:
        patch.setattr("purify_cli.checkpoint.writer.locked_aside", aside)
        patch.setattr(os, "write", write)
        code, stdout, err = run_cli(purify(tiny_suspect, tiny_reference, "--output", out, "--overwrite"))
    assert (code, stdout) == (2, "")
    assert "error: " in err
    assert "no space left" in err
    assert "\nhint: " in err
    assert "Traceback" not in err
    assert {name: data for name, data in content(here).items() if name.startswith("models")} == old
    assert os.listdir(out.parent) == (["out"] if old else [])


@pytest.mark.parametrize("after", [0, 100_000])
def test_a_killed_process_leaves_what_was_there(
    after: int, here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    out = here / "models" / "out"
    shutil.copytree(tiny_suspect, out)
    old = content(out)
    argv = [str(word) for word in purify(tiny_suspect, tiny_reference, "--output", out, "--overwrite")]
    done = subprocess.run([sys.executable, "-c", KILLED, str(after), *argv], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert done.stdout == b""
    assert content(out) == old
    (left,) = (path for path in out.parent.iterdir() if path != out)
    assert left.name.startswith(".out.tmp-")
    with pytest.raises(CheckpointError):
        open_checkpoint(str(left))
    assert not (here / "purify-run" / "purification.json").exists()
    code, stdout, err = run_cli(argv)
    assert code == 0, err
    assert os.listdir(out.parent) == ["out"]
    assert not [name for name in os.listdir(out) if name.startswith(".")]
    record = json.loads(stdout)
    assert record["output"]["sha256"] == open_checkpoint(str(out)).sha256()
    assert (out / "model.safetensors").read_bytes() != old["model.safetensors"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_does_not_hide_the_result(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    (here / "purify-run").mkdir()
    (here / "purify-run" / "log.jsonl").symlink_to("/dev/full")
    code, stdout, err = run_cli(purify(tiny_suspect, tiny_reference))
    assert "Traceback" not in err
    assert code == 0, err
    assert json.loads(stdout)["output"]["sha256"] == open_checkpoint("purify-run/purified").sha256()


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_project_with_a_config_is_not_replaced(
    overwrite: tuple[str, ...], here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    project = here / "proj"
    (project / "src").mkdir(parents=True)
    (project / "config.json").write_text("{}")
    (project / "src" / "main.py").write_text("print()")
    old = content(here)
    code, stdout, err = run_cli(purify(tiny_suspect, tiny_reference, "--output", project, *overwrite))
    assert (code, stdout) == (2, "")
    assert "'src', which is no file of a model" in err
    assert {name: data for name, data in content(here).items() if name.startswith("proj")} == old


def test_the_run_folder_is_not_replaced(here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path) -> None:
    assert run_cli(purify(tiny_suspect, tiny_reference))[0] == 0
    results = {name: data for name, data in content(here).items() if name != "purify-run/log.jsonl"}
    code, stdout, err = run_cli(purify(tiny_suspect, tiny_reference, "--output", "purify-run", "--overwrite"))
    assert (code, stdout) == (2, "")
    assert "\nhint: " in err
    assert {name: data for name, data in content(here).items() if name != "purify-run/log.jsonl"} == results


@pytest.mark.parametrize("change", [0.0, 0.5])
def test_a_tensor_stored_twice_cannot_carry_a_backdoor_through(
    change: float, here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path
) -> None:
    """An innocent copy to be looked at, a poisoned one to be loaded: refused; two equal ones: both are reset."""
    from transformers import AutoModelForSequenceClassification

    suspect = shutil.copytree(tiny_suspect, here / "suspect")
    tensors = load_file(suspect / "model.safetensors")
    tensors[WORDS] = tensors[f"bert.{WORDS}"] + change
    save_file(tensors, suspect / "model.safetensors", metadata={"format": "pt"})
    start = ["purify", suspect, "--ref", tiny_reference, "--indicator", "drift", "--ratio", "1", "--no-finetune"]
    code, stdout, err = run_cli(start)
    if change:
        assert (code, stdout) == (2, "")
        assert "twice with different contents" in err
        assert "\nhint: " in err
        assert not (here / "purify-run" / "purified").exists()
        assert run_cli(["detect", suspect, "--ref", tiny_reference])[0] == 2
        return
    assert code == 0, err
    innocent = load_file(tiny_reference / "model.safetensors")[WORDS]
    purified = load_file(here / "purify-run" / "purified" / "model.safetensors")
    assert torch.equal(purified[WORDS], innocent)
    assert torch.equal(purified[f"bert.{WORDS}"], innocent)
    loaded = AutoModelForSequenceClassification.from_pretrained(here / "purify-run" / "purified")
    assert torch.equal(loaded.get_input_embeddings().weight, innocent)


def test_curvature_and_tuning_reach_both_copies(
    here: Path, run_cli: Run, tiny_suspect: Path, tiny_reference: Path, clean_file: Path
) -> None:
    suspect = shutil.copytree(tiny_suspect, here / "suspect")
    tensors = load_file(suspect / "model.safetensors")
    tensors[WORDS] = tensors[f"bert.{WORDS}"].clone()
    save_file(tensors, suspect / "model.safetensors", metadata={"format": "pt"})
    code, _, err = run_cli(["purify", suspect, "--ref", tiny_reference, "--clean-data", clean_file, "--ratio", "0.1"])
    assert code == 0, err
    curvature = load_file(here / "purify-run" / "curvature.safetensors")
    assert WORDS in curvature
    assert float(curvature[WORDS].max()) > 0
    purified = load_file(here / "purify-run" / "purified" / "model.safetensors")
    assert torch.equal(purified[WORDS], purified[f"bert.{WORDS}"])
    assert not torch.equal(purified[WORDS], tensors[WORDS])
