"""Everything in a model's folder that could be run or loaded is named, and nothing that everybody knows to be inert."""

import json
import os
from pathlib import Path

import pytest

from purify_cli.checkpoint import companions as module
from purify_cli.checkpoint import open_checkpoint
from purify_cli.checkpoint.companions import companions
from tests.checkpoint.shapes import CONFIG, classifier, folder

EVIL = {"AutoTokenizer": ["evil.Tokenizer", None]}


def found(path: Path) -> set[tuple[str, str, bool]]:
    return {(one.kind, one.subject, one.unexamined) for one in companions(open_checkpoint(str(path)).files)}


def write(path: Path, content: str | bytes = b"x = 1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder(tmp_path / "model", classifier(), config=CONFIG)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "modeling.py",
            "sub/modeling.py",
            "a/b/c/d/deep.py",
            "custom_generate/generate.py",
            "modeling.pyc",
            "evil.so",
        ),
        *(
            "modeling.pyc",
            "evil.so.1",
            "evil.pyd",
            "evil.dll",
            "run.sh",
            "UPPER.PY",
            "checkpoint-5/m.py",
            "__pycache__/x.pyc",
        ),
        *("notebook.ipynb", "kernel.cu", "wheel.whl", "Makefile"),
    ],
)
def test_a_program_is_named(name: str, model: Path) -> None:
    write(model / name)
    assert found(model) == {("code", name, True)}


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01", b"MZ\x90\x00", b"#!/bin/sh\n"])
def test_a_program_under_another_name_is_named(content: bytes, model: Path) -> None:
    write(model / "data", content)
    assert found(model) == {("code", "data", True)}


@pytest.mark.parametrize(
    ("name", "table", "key"),
    [
        ("config.json", {"auto_map": EVIL}, "auto_map"),
        ("config.json", {"text_config": {"auto_map": EVIL}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": EVIL}, "auto_map"),
        ("processor_config.json", {"auto_map": EVIL}, "auto_map"),
        ("preprocessor_config.json", {"auto_map": EVIL}, "auto_map"),
        ("generation_config.json", {"custom_generate": "someone/code"}, "custom_generate"),
        ("adapter_config.json", {"auto_map": EVIL}, "auto_map"),
        ("modules.json", [{"type": "evil.Module"}], "type"),
    ],
)
def test_a_request_for_code_is_named(name: str, table: object, key: str, model: Path) -> None:
    write(model / name, json.dumps({**CONFIG, **table} if name == "config.json" else table))
    assert ("code", f"{name}: {key}", True) in found(model)


def test_unknown_files_are_named_and_keep_a_verdict_open_where_they_can_be_loaded(model: Path) -> None:
    for name, content in (("notes.xyz", b"?"), ("extra.json", b"{}"), ("more/config.json", b"{}")):
        write(model / name, content)
    for name, content in (("data.pickle", b"?"), ("blob", b"\x80\x04\x95"), ("pack", b"PK\x03\x04"), ("t.zip", b"")):
        write(model / name, content)
    os.symlink("/", model / "elsewhere")
    os.mkfifo(model / "more" / "pipe")
    assert found(model) == {
        *(("file", name, False) for name in ("notes.xyz", "extra.json", "more/config.json")),
        *(("file", name, True) for name in ("data.pickle", "blob", "pack", "t.zip", "elsewhere", "more/pipe")),
    }


def test_what_is_known_or_inert_is_no_difference(model: Path) -> None:
    for name in (
        *("README.md", "LICENSE", "LICENSE.txt", ".gitattributes", "picture.png", "trainer_state.json", "optimizer.pt"),
        *(
            "training_args.bin",
            "scheduler.pt",
            "rng_state_0.pth",
            "runs/events.out.tfevents.1.host",
            "eval_results.json",
        ),
        *(
            "eval_results.json",
            "1_Pooling/config.json",
            "config_sentence_transformers.json",
            "vocab.txt",
            "sentence_bert_config.json",
        ),
        *("tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "purification.json"),
        *("onnx/model.onnx", ".cache/huggingface/download/config.json.metadata", ".git/hooks/pre-commit.sh"),
        *("checkpoint-50/config.json", "checkpoint-50/tokenizer.json", "preprocessor_config.json"),
    ):
        write(model / name, "{}")
    write(model / "modules.json", json.dumps([{"idx": 0, "type": "sentence_transformers.models.Transformer"}]))
    assert found(model) == set()


def test_a_file_given_by_its_name_brings_the_model_folder_around_it(model: Path, tmp_path: Path) -> None:
    write(model / "modeling_evil.py")
    assert found(model / "model.safetensors") == {("code", "modeling_evil.py", True)}
    (model / "config.json").unlink()  # some folder in which a file lies
    assert found(model / "model.safetensors") == set()


def test_a_folder_of_many_files_is_not_read_for_ever(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 20)
    for number in range(40):
        write(model / f"{number}.md")
    ((kind, _, unexamined),) = found(model)
    assert (kind, unexamined) == ("file", True)
    deep = model.parent / "deep"
    folder(deep, classifier(), config=CONFIG)
    write(deep / "/".join("abcdefghi") / "x.md")
    assert {unexamined for _, _, unexamined in found(deep)} == {True}


def test_a_long_list_is_cut(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTED", 3)
    for number in range(9):
        write(model / f"{number}.xyz")
    assert len(found(model)) == 4


def test_names_are_escaped(model: Path) -> None:
    write(model / "a\x1b[31m.py")
    assert found(model) == {("code", "a\\x1b[31m.py", True)}
