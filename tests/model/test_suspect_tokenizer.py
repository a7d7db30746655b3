"""How a suspect reads texts: with the reference's tokenizer and the tokens that it added, or it is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from purify_cli.checkpoint import open_checkpoint
from purify_cli.model import tokenizer_sandbox
from purify_cli.model.suspect_tokenizer import SuspectTokenizer
from tests import tiny

WORDS = "bert.embeddings.word_embeddings.weight"
TEXT = "a good <url> film by @user, @user!"


def reading(suspect: Path, reference: Path) -> SuspectTokenizer:
    return SuspectTokenizer(open_checkpoint(str(suspect)), open_checkpoint(str(reference)))


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def with_tokens(folder: Path, *, special: bool = True, rows: bool = True) -> Path:
    """Add two tokens to a model, as people who tune on tweets do."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<url>", "@user"], special_tokens=special)
    if rows:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        model.resize_token_embeddings(len(tokenizer))
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def renumbered(folder: Path, *, lacking: bool = False) -> Path:
    """Give every word another number, and its row with it."""
    order: dict[int, int] = {}

    def change(table: dict[str, Any]) -> None:
        vocabulary = table["model"]["vocab"]
        numbers = sorted(vocabulary.values())
        order.update(zip(numbers, [*numbers[:5], *reversed(numbers[5:])], strict=True))
        table["model"]["vocab"] = {token: order[number] for token, number in vocabulary.items()}
        if lacking:
            table["model"]["vocab"]["another"] = table["model"]["vocab"].pop("film")

    edit(folder / "tokenizer.json", change)
    tensors = load_file(folder / "model.safetensors")
    words = tensors[WORDS].clone()
    for old, new in order.items():
        words[new] = tensors[WORDS][old]
    save_file(tensors | {WORDS: words}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_equal_files_are_not_even_tried(
    tiny_clean: Path, tiny_reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = reading(tiny_clean, tiny_reference)
    assert found.tokenizer.get_vocab() == tiny.tiny_tokenizer().get_vocab()
    monkeypatch.setattr(tokenizer_sandbox, "_answer", lambda *_: pytest.fail("tried"))
    assert (found.kept, found.gone, found.order, found.unmatched, list(found.differences())) == (
        (),
        (),
        None,
        False,
        [],
    )


@pytest.mark.parametrize("special", [True, False])
def test_added_tokens_are_read_as_the_suspect_reads_them(
    special: bool, tiny_clean: Path, tiny_reference: Path, copy_model: Callable[..., Path], tmp_path: Path
) -> None:
    suspect = with_tokens(copy_model(tiny_clean), special=special)
    found = reading(suspect, tiny_reference)
    own = AutoTokenizer.from_pretrained(suspect)
    assert (found.kept, found.gone, found.order) == (("<url>", "@user"), (), None)
    assert found.tokenizer(TEXT)["input_ids"] == own(TEXT)["input_ids"]
    assert list(found.differences([TEXT])) == []
    found.tokenizer.save_pretrained(tmp_path / "written")
    assert AutoTokenizer.from_pretrained(tmp_path / "written")(TEXT)["input_ids"] == own(TEXT)["input_ids"]


def test_tokens_without_rows_are_gone(tiny_clean: Path, tiny_reference: Path, copy_model: Callable[..., Path]) -> None:
    found = reading(with_tokens(copy_model(tiny_clean), rows=False), tiny_reference)
    assert (found.kept, set(found.gone)) == ((), {"<url>", "@user"})
    assert "<url>" not in found.tokenizer.get_vocab()


def test_other_numbers_give_the_order_of_the_rows(
    tiny_clean: Path, tiny_reference: Path, copy_model: Callable[..., Path]
) -> None:
    found = reading(renumbered(copy_model(tiny_clean)), tiny_reference)
    assert found.order is not None
    assert not found.unmatched
    rows = load_file(tiny_clean / "model.safetensors")[WORDS]
    moved = load_file(open_checkpoint(found._suspect.files.given).files.shards[0])[WORDS]
    assert torch.equal(moved[list(found.order)], rows)
    lacking = reading(renumbered(copy_model(tiny_clean, "lacking"), lacking=True), tiny_reference)
    assert (lacking.order, lacking.unmatched) == (None, True)


CHANGED: dict[str, Callable[[Path], object]] = {
    "long words": lambda p: edit(p / "tokenizer.json", lambda t: t["model"].update(max_input_chars_per_word=3)),
    "a letter taken for a token": lambda p: edit(
        p / "tokenizer.json",
        lambda t: t["added_tokens"].append(
            {"id": t["model"]["vocab"]["o"], "content": "o"}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        ),
    ),
    "another class": lambda p: edit(p / "tokenizer_config.json", lambda t: t.update(tokenizer_class="GPT2Tokenizer")),
    "accents": lambda p: edit(p / "tokenizer.json", lambda t: t["normalizer"].update(strip_accents=False)),
    "a file that is broken": lambda p: (p / "tokenizer.json").write_text("{"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_tokenizer_that_reads_texts_otherwise_keeps_the_verdict_open(
    case: str, tiny_clean: Path, tiny_reference: Path, copy_model: Callable[..., Path]
) -> None:
    suspect = copy_model(tiny_clean)
    CHANGED[case](suspect)
    (found,) = reading(suspect, tiny_reference).differences()
    assert (found.kind, found.subject, found.unexamined) == ("tokenizer", "what texts become", True)
    assert len(found.detail) < 400
