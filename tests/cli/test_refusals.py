"""Every refusal in one table, each through ``main``: a sentence, a hint, exit code 2, nothing written, no traceback."""

import json
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import tiny

Run = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Place:
    """What a row of the table may use."""

    folder: Path
    suspect: Path
    reference: Path
    clean: Path

    def copied(self, name: str = "copy") -> Path:
        """A suspect that may be damaged."""
        return shutil.copytree(self.suspect, self.folder / name)

    def file(self, name: str, content: bytes | str) -> Path:
        """A file beside it."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def weights(self, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
        """A suspect whose tensors were changed."""
        folder = self.copied()
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    def header(self, change: Callable[[dict[str, Any]], Any]) -> Path:
        """A suspect whose header was changed, the bytes behind it not."""
        path = self.copied() / "model.safetensors"
        raw = path.read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8 : 8 + length])
        change(header)
        made = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(made)) + made + raw[8 + length :])
        return path.parent

    def detect(self, suspect: Path | str, *more: object) -> list[object]:
        """A detect command."""
        return ["detect", suspect, "--ref", self.reference, *more]

    def purify(self, *more: object) -> list[object]:
        """A purify command on the sound suspect."""
        return ["purify", self.suspect, "--ref", self.reference, "--clean-data", self.clean, *more]


@pytest.fixture
def place(tmp_path: Path, tiny_suspect: Path, tiny_reference: Path, clean_file: Path) -> Place:
    return Place(tmp_path, tiny_suspect, tiny_reference, clean_file)


def _rows(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _first(header: dict[str, Any]) -> dict[str, Any]:
    return next(entry for name, entry in header.items() if name != "__metadata__")


def _move(header: dict[str, Any], by: int) -> None:
    entry = _first(header)
    entry["data_offsets"] = [at + by for at in entry["data_offsets"]]


def _set(tensors: dict[str, torch.Tensor], value: float) -> None:
    tensors["bert.encoder.layer.0.output.dense.weight"][3, 5] = value


def _other_width(place: Place) -> Path:
    tokenizer = tiny.tiny_tokenizer()
    from transformers import BertModel

    return tiny.save(BertModel(tiny.tiny_config(tokenizer, hidden_size=32)), tokenizer, place.folder / "narrow")


def _other_kind(place: Place) -> Path:
    folder = shutil.copytree(place.reference, place.folder / "roberta")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}))
    return folder


def _truncated(place: Place) -> Path:
    folder = place.copied()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    return folder


def _pickle(place: Place, name: str) -> Path:
    path = place.folder / name
    torch.save({"bert.pooler.dense.bias": torch.zeros(64)}, path)
    return path


def _with_output(place: Place) -> list[object]:
    out = place.folder / "there"
    out.mkdir()
    (out / "model.safetensors").write_bytes(b"old")
    return place.purify("--output", out)


def _broken_reference(place: Place) -> Path:
    folder = shutil.copytree(place.reference, place.folder / "broken")
    tensors = load_file(folder / "model.safetensors")
    tensors["pooler.dense.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _precious(place: Place) -> list[object]:
    out = place.folder / "there"
    out.mkdir()
    (out / "config.json").write_text("{}")
    (out / "main.py").write_text("print()")
    (out / "model.safetensors").write_bytes(b"old")
    return place.purify("--output", out, "--overwrite")


def _on_the_suspect(place: Place) -> list[object]:
    suspect = place.copied("suspect")
    return [
        "purify",
        suspect,
        "--ref",
        place.reference,
        "--clean-data",
        place.clean,
        "--output",
        suspect,
        "--overwrite",
    ]


Row = tuple[str, Callable[[Place], Sequence[object]], str]

TABLE: list[Row] = [
    ("missing file", lambda p: p.detect(p.folder / "none.safetensors"), "none.safetensors"),
    ("empty file", lambda p: p.detect(p.file("e.safetensors", b"")), "empty"),
    ("truncated", lambda p: p.detect(_truncated(p)), "model.safetensors"),
    (
        "header longer than file",
        lambda p: p.detect(p.file("h.safetensors", struct.pack("<Q", 10**6) + b"{}")),
        "header",
    ),
    ("header of terabytes", lambda p: p.detect(p.file("h.safetensors", struct.pack("<Q", 2**62) + b"{}")), "header"),
    ("header no JSON", lambda p: p.detect(p.file("h.safetensors", struct.pack("<Q", 4) + b"{{{{")), "header"),
    ("overlapping offsets", lambda p: p.detect(p.header(lambda h: _move(h, 4))), "model.safetensors"),
    ("offsets out of range", lambda p: p.detect(p.header(lambda h: _move(h, 10**9))), "model.safetensors"),
    ("negative offsets", lambda p: p.detect(p.header(lambda h: _move(h, -(10**6)))), "model.safetensors"),
    ("unknown dtype", lambda p: p.detect(p.header(lambda h: _first(h).update(dtype="F99"))), "F99"),
    ("pickle named safetensors", lambda p: p.detect(_pickle(p, "model.safetensors")), "pickle"),
    ("pickle", lambda p: p.detect(_pickle(p, "pytorch_model.bin")), "--allow-pickle"),
    ("NaN", lambda p: p.detect(p.weights(lambda t: _set(t, float("nan")))), "--allow-nonfinite"),
    ("infinity", lambda p: p.detect(p.weights(lambda t: _set(t, float("inf")))), "--allow-nonfinite"),
    ("reference of other architecture", lambda p: ["detect", p.suspect, "--ref", _other_kind(p)], "roberta"),
    ("reference of other width", lambda p: ["detect", p.suspect, "--ref", _other_width(p)], "32"),
    (
        "nothing in common",
        lambda p: p.detect(p.weights(lambda t: [t.update({f"x.{n}.y": t.pop(n)}) for n in list(t)])),
        "in common",
    ),
    ("no reference", lambda p: ["detect", p.suspect], "--ref"),
    ("no such alias", lambda p: ["detect", p.suspect, "--ref", "bert-bsae"], "bert-base"),
    ("no model at all", lambda p: ["purify", "--clean-data", p.clean], "purify detect"),
    ("no model to evaluate", lambda p: ["evaluate", "--data", p.clean], "purify detect"),
    (
        "label outside head",
        lambda p: p.detect(
            p.suspect,
            "--clean-data",
            p.file("c.jsonl", _rows({"text": "good", "label": 0}, {"text": "bad", "label": 7})),
        ),
        "line 2",
    ),
    ("empty clean data", lambda p: p.detect(p.suspect, "--clean-data", p.file("c.jsonl", "")), "c.jsonl"),
    (
        "one-class clean data",
        lambda p: p.detect(
            p.suspect,
            "--clean-data",
            p.file("c.jsonl", _rows({"text": "good", "label": 1}, {"text": "fine", "label": 1})),
        ),
        "class",
    ),
    (
        "not UTF-8",
        lambda p: p.detect(p.suspect, "--clean-data", p.file("c.jsonl", b'{"text": "caf\xe9", "label": 1}\n')),
        "UTF-8",
    ),
    (
        "not JSON",
        lambda p: p.detect(
            p.suspect, "--clean-data", p.file("c.jsonl", _rows({"text": "good", "label": 1}) + "{oops\n")
        ),
        "line 2",
    ),
    (
        "no text column",
        lambda p: p.detect(p.suspect, "--clean-data", p.file("c.csv", "words,label\ngood,1\n")),
        "c.csv",
    ),
    (
        "label missing",
        lambda p: p.detect(
            p.suspect, "--clean-data", p.file("c.jsonl", _rows({"text": "good", "label": 1}, {"text": "bad"}))
        ),
        "line 2",
    ),
    ("labels where none may be", lambda p: p.detect(p.suspect, "--clean-data", p.clean, "--unlabelled"), "label"),
    ("ratio -1", lambda p: p.purify("--ratio", "-1"), "--ratio"),
    ("ratio 1.5", lambda p: p.purify("--ratio", "1.5"), "--ratio"),
    ("ratio nan", lambda p: p.purify("--ratio", "nan"), "--ratio"),
    ("ratio abc", lambda p: p.purify("--ratio", "abc"), "--ratio"),
    ("unknown method", lambda p: p.purify("--method", "fine-purifing"), "fine-purifying"),
    ("unknown indicator", lambda p: p.purify("--indicator", "drif"), "drift"),
    ("unknown setting", lambda p: p.purify("--set", "dampin=1"), "damping"),
    ("setting of the wrong type", lambda p: p.purify("--set", "damping=much"), "damping"),
    ("setting without value", lambda p: p.purify("--set", "damping"), "NAME=VALUE"),
    ("no clean data to tune on", lambda p: ["purify", p.suspect, "--ref", p.reference], "--no-finetune"),
    ("output exists", _with_output, "--overwrite"),
    ("hub id without network", lambda p: ["detect", p.suspect, "--ref", "someone/some-model"], "path"),
    ("unknown device", lambda p: p.purify("--device", "warp9"), "--device"),
    (
        "unknown attack",
        lambda p: ["attack", "badwrod", "--ref", p.reference, "--data", p.clean, "--target", "1"],
        "badword",
    ),
    (
        "target no label",
        lambda p: ["attack", "badword", "--ref", p.reference, "--data", p.clean, "--target", "5"],
        "--target",
    ),
    (
        "rate above 1",
        lambda p: ["attack", "badword", "--ref", p.reference, "--data", p.clean, "--target", "1", "--rate", "1.5"],
        "rate",
    ),
    ("trigger without target", lambda p: ["evaluate", p.suspect, "--data", p.clean, "--trigger", "cf"], "--target"),
    ("record of another kind", lambda p: ["purify", "--clean-data", p.clean], "record"),
    ("NaN in the reference", lambda p: ["detect", p.suspect, "--ref", _broken_reference(p)], "reference"),
    ("labels needed", lambda p: p.detect(p.suspect, "--estimator", "hutchinson"), "--estimator true"),
    (
        "noise before all others",
        lambda p: p.purify("--estimator", "hutchinson", "--set", "degenerate=plain"),
        "degenerate=guard",
    ),
    (
        "estimator without data",
        lambda p: ["purify", p.suspect, "--ref", p.reference, "--no-finetune", "--estimator", "true"],
        "--estimator",
    ),
    ("empty model name", lambda p: ["detect", "", "--ref", p.reference], "empty"),
    ("setting out of range", lambda p: p.purify("--set", "damping=-1"), "damping"),
    ("endless rate", lambda p: p.purify("--set", "learning_rate=inf"), "learning_rate"),
    (
        "ratio for a method that resets nothing",
        lambda p: p.purify("--method", "fine-tuning", "--ratio", "0.5"),
        "ratio",
    ),
    ("posterior of noise", lambda p: p.purify("--indicator", "uniform", "--set", "replacement=posterior"), "posterior"),
    (
        "budget without clean data",
        lambda p: ["purify", p.suspect, "--ref", p.reference, "--no-finetune", "--max-drop", "0"],
        "--max-drop",
    ),
    ("output on a folder that is no model", _precious, "main.py"),
    ("output on the suspect", _on_the_suspect, "suspect"),
    (
        "position without trigger",
        lambda p: ["evaluate", p.suspect, "--data", p.clean, "--position", "start"],
        "trigger",
    ),
    (
        "superscript target",
        lambda p: ["attack", "badword", "--ref", p.reference, "--data", p.clean, "--target", "²"],
        "--target",
    ),
    ("attack without reference", lambda p: ["attack", "badword", "--data", p.clean, "--target", "1"], "--data-only"),
    (
        "finetune epochs and steps",
        lambda p: ["finetune", p.reference, "--data", p.clean, "--epochs", 1, "--steps", 1],
        "--steps",
    ),
    ("finetune missing model", lambda p: ["finetune", p.folder / "none", "--data", p.clean], "none"),
    ("deep JSON on standard input", lambda p: ["purify", "--clean-data", p.clean], "record"),
    ("missing option", lambda p: ["evaluate"], "--data"),
    ("unknown command", lambda p: ["purfy"], "purfy"),
]

PIPED = {"record of another kind": '{"kind": "detection"}', "deep JSON on standard input": "[" * 100_000}


@pytest.mark.parametrize(("name", "command", "words"), TABLE, ids=[row[0].replace(" ", "-") for row in TABLE])
def test_refused(
    name: str,
    command: Callable[[Place], Sequence[object]],
    words: str,
    place: Place,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(place.folder / "hub"))
    argv = command(place)
    work = place.folder / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    code, out, err = run_cli(argv, PIPED.get(name, ""))
    assert code == 2, err
    assert out == ""
    assert words.lower() in err.lower()
    assert "Traceback" not in err
    if name not in ("missing option", "unknown command"):  # Typer words these itself
        assert err.startswith("error: ")
        assert "\nhint: " in err
    assert list(work.rglob("*")) == []
    old = place.folder / "there" / "model.safetensors"
    assert not old.exists() or old.read_bytes() == b"old"


def test_names_from_a_hostile_file_do_not_reach_the_terminal_raw(place: Place, run_cli: Run) -> None:
    evil = "bert.\x1b]0;owned\x07"
    suspect = place.weights(lambda t: t.update({evil: torch.full((3,), float("nan"))}))
    _, out, err = run_cli(place.detect(suspect, "--run", place.folder / "run"))
    assert "\x1b" not in out + err
    assert "owned" in err
