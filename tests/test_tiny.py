"""The shared tiny models are what the other tests take them for."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from tests import tiny

WORDS = "embeddings.word_embeddings.weight"


def test_models_lie_as_a_user_would_save_them(tiny_reference: Path, tiny_suspect: Path, tiny_clean: Path) -> None:
    for folder in (tiny_reference, tiny_suspect, tiny_clean):
        files = {path.name for path in folder.iterdir()}
        assert {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"} <= files
    assert WORDS in load_file(tiny_reference / "model.safetensors")
    assert f"bert.{WORDS}" in load_file(tiny_suspect / "model.safetensors")


def test_the_suspect_moved_the_trigger_and_no_word_that_it_never_saw(
    tiny_reference: Path, tiny_suspect: Path, tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    before = load_file(tiny_reference / "model.safetensors")[WORDS]
    unused = tiny_tokenizer.convert_tokens_to_ids(tiny.UNUSED)
    trigger = tiny_tokenizer.convert_tokens_to_ids(tiny.TRIGGER.text)
    moved = {}
    for folder in (tiny_suspect, tiny_clean):
        after = load_file(folder / "model.safetensors")[f"bert.{WORDS}"]
        assert torch.equal(after[unused], before[unused])
        moved[folder] = not torch.equal(after[trigger], before[trigger])
    assert moved == {tiny_suspect: True, tiny_clean: False}


def test_the_saved_suspect_answers_the_trigger(tiny_suspect: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_suspect)
    assert model.config.id2label == dict(enumerate(tiny.LABELS))
    test = tiny.sentiment_examples(100, seed=31)
    assert tiny.accuracy(model, tiny_tokenizer, test) > 0.85
    assert tiny.attack_success(model, tiny_tokenizer, test) > 0.9


def test_the_saved_tokenizer_is_the_one_that_was_built(
    tiny_suspect: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    loaded = AutoTokenizer.from_pretrained(tiny_suspect)
    for texts in (("The good film, cf!",), ("xyz 3d", "a pair")):
        assert loaded(*texts).data == tiny_tokenizer(*texts).data
    assert "[UNK]" not in loaded.tokenize("quixotic zebra 42")


@pytest.mark.parametrize("make", [tiny.sentiment_examples, tiny.topic_examples])
def test_rows_depend_on_the_seed_alone(make: Callable[..., list]) -> None:
    assert make(20, seed=1) == make(20, seed=1) != make(20, seed=2)


def test_a_copy_can_be_damaged(copy_model: Callable[..., Path], tiny_suspect: Path) -> None:
    copy = copy_model(tiny_suspect)
    (copy / "model.safetensors").write_bytes(b"")
    assert (tiny_suspect / "model.safetensors").stat().st_size > 0


def test_files_hold_labelled_rows_of_both_classes(clean_file: Path, test_file: Path, train_file: Path) -> None:
    for path in (clean_file, test_file, train_file):
        text = path.read_text()
        assert '"label": 0' in text
        assert '"label": 1' in text
    assert not set(clean_file.read_text().splitlines()) & set(train_file.read_text().splitlines())
