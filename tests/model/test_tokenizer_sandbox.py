"""Tokenizers that are not trusted: whatever their files do, it ends in a sentence, and not in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from purify_cli.checkpoint.layout import CheckpointFiles
from purify_cli.errors import CheckpointError
from purify_cli.model import load_tokenizer, tokenizer_sandbox
from purify_cli.model.tokenizer_sandbox import examine_tokenizer

UNKNOWN_SPECIAL = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[NOPE]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [],
    "special_tokens": {},
}
LONGER = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100}


def _precompiled(charsmap: str) -> dict[str, str]:
    return {"type": "Precompiled", "precompiled_charsmap": charsmap}


def files(folder: Path) -> CheckpointFiles:
    return CheckpointFiles(given=str(folder), shards=(), tokenizer=folder)


@pytest.fixture
def made(tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Callable[..., CheckpointFiles]:
    def make(change: Callable[[dict[str, Any]], Any] = lambda table: None, **settings: Any) -> CheckpointFiles:
        tiny_tokenizer.save_pretrained(tmp_path)
        for name, edit in (("tokenizer.json", change), ("tokenizer_config.json", lambda t: t.update(settings))):
            table = json.loads((tmp_path / name).read_text())
            edit(table)
            (tmp_path / name).write_text(json.dumps(table))
        return files(tmp_path)

    return make


def test_what_a_tokenizer_does_is_told(made: Callable[..., CheckpointFiles], tiny_tokenizer: Any) -> None:
    found = examine_tokenizer(made(), ["a good film", ("good", "bad film"), "☃"])
    assert [list(ids) for ids, _ in found.inputs] == [
        tiny_tokenizer("a good film")["input_ids"],
        tiny_tokenizer("good", "bad film")["input_ids"],
        tiny_tokenizer("☃")["input_ids"],
    ]
    assert found.inputs[1][1] == tuple(tiny_tokenizer("good", "bad film")["token_type_ids"])
    assert found.vocabulary == tiny_tokenizer.get_vocab()
    assert [one.content for one in found.added.values()] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert all(one.special for one in found.added.values())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda t: t.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}), id="panic"
        ),
        pytest.param(lambda t: t.update(post_processor=UNKNOWN_SPECIAL), id="panic at a text"),
        pytest.param(lambda t: t["model"].update(type="Evil"), id="exception"),
        pytest.param(lambda t: t.update(normalizer=_precompiled("/" * 16)), id="8 GiB"),
        pytest.param(
            lambda t: t.update(normalizer={"type": "Sequence", "normalizers": [LONGER] * 4}), id="texts that explode"
        ),
        pytest.param(
            lambda t: t.update(normalizer={"type": "Sequence", "normalizers": [LONGER] * 2}), id="texts that grow"
        ),
    ],
)
def test_a_broken_tokenizer_ends_in_a_sentence(change: Any, made: Callable[..., CheckpointFiles]) -> None:
    with pytest.raises(CheckpointError, match="cannot be used") as refused:
        load_tokenizer(made(change))
    assert "published with the model" in refused.value.hint
    assert len(str(refused.value)) < 500


def test_a_tokenizer_that_never_ends_is_ended(
    made: Callable[..., CheckpointFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer_sandbox, "SECONDS", 3)
    monkeypatch.setattr(tokenizer_sandbox, "PATIENCE", 20)
    # Looking for a match takes 2 to the power of the length of the text.
    endless = {"type": "Replace", "pattern": {"Regex": "(x+x+)+y"}, "content": ""}
    with pytest.raises(CheckpointError, match="takes too much memory or time"):
        examine_tokenizer(made(lambda t: t.update(normalizer=endless)), [f"{'x' * 20} " * 3000, "x" * 40])


def test_an_answer_that_nobody_read_is_not_taken_for_the_next(
    made: Callable[..., CheckpointFiles], tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        @staticmethod
        def readline() -> bytes:
            raise KeyboardInterrupt

    examined = made()
    examine_tokenizer(examined, ["a"])
    with monkeypatch.context() as patch:
        patch.setattr(tokenizer_sandbox._running[0]._process, "stdout", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            examine_tokenizer(examined, ["good"])
    ((ids, _),) = examine_tokenizer(examined, ["a good film"]).inputs
    assert list(ids) == tiny_tokenizer("a good film")["input_ids"]


def test_prints_of_native_code_do_not_reach_standard_output(
    made: Callable[..., CheckpointFiles], capfd: pytest.CaptureFixture[str]
) -> None:
    load_tokenizer(made(pad_token={"__type": "AddedToken", "content": "[PAD]", "evil": 1}))
    assert capfd.readouterr().out == ""


def test_the_same_files_are_tried_once(made: Callable[..., CheckpointFiles], monkeypatch: pytest.MonkeyPatch) -> None:
    load_tokenizer(made())
    monkeypatch.setattr(tokenizer_sandbox, "_answer", lambda *_: pytest.fail("tried again"))
    load_tokenizer(made())


def test_sentencepiece_alone_needs_packages_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spm.model").write_bytes(b"")
    monkeypatch.setattr(tokenizer_sandbox, "find_spec", lambda module: None)
    with pytest.raises(CheckpointError, match=r"spm\.model.*sentencepiece and protobuf are missing") as refused:
        load_tokenizer(files(tmp_path))
    assert "pip install sentencepiece protobuf" in refused.value.hint
    monkeypatch.setattr(tokenizer_sandbox, "find_spec", lambda module: object())
    with pytest.raises(CheckpointError, match="cannot be used"):  # an empty file is no vocabulary
        load_tokenizer(files(tmp_path))
    monkeypatch.setattr(tokenizer_sandbox, "find_spec", lambda module: object() if module == "sentencepiece" else None)
    with pytest.raises(CheckpointError, match="protobuf is missing"):
        load_tokenizer(files(tmp_path))
