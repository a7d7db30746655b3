import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from purify_cli.checkpoint import Difference, open_checkpoint, pair_checkpoints, structural_differences
from tests.checkpoint.shapes import CONFIG, bert, classifier, folder

TOKENIZER: dict[str, Any] = {
    "truncation": None,
    "padding": None,
    "added_tokens": [{"id": 0, "content": "[PAD]", "special": True}],
    "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": None,
    "model": {"type": "BPE", "vocab": {"[PAD]": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]},
}
SETTINGS: dict[str, Any] = {"pad_token": "[PAD]", "do_lower_case": True, "model_max_length": 512}


def model(path: Path, tensors: dict[str, torch.Tensor], config: Any, tokenizer: Any, settings: Any) -> Path:
    folder(path, tensors, config=config)
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    return path


def compare(
    tmp_path: Path,
    *,
    config: dict[str, Any] | None = None,
    tokenizer: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    touch: Callable[[Path], object] = lambda path: None,
    reference: Callable[[Path], object] = lambda path: None,
) -> set[tuple[str, str]]:
    ours = model(
        tmp_path / "s",
        classifier(),
        CONFIG | (config or {}),
        TOKENIZER | (tokenizer or {}),
        SETTINGS | (settings or {}),
    )
    theirs = model(tmp_path / "r", bert(), CONFIG, TOKENIZER, SETTINGS)
    touch(ours)
    reference(theirs)
    suspect, other = open_checkpoint(str(ours)), open_checkpoint(str(theirs))
    found = structural_differences(suspect, other, pair_checkpoints(suspect, other))
    assert all(isinstance(one, Difference) and one.detail for one in found)
    return {(one.kind, one.subject) for one in found}


HARMLESS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "labels and names": {
        "config": {
            "architectures": ["X"],
            "id2label": {"0": "a"},
            "num_labels": 2,
            "_name_or_path": "x",
            "torch_dtype": "float16",
        }
    },
    "a newer version": {"config": {"transformers_version": "99", "is_decoder": False, "bos_token_id": None}},
    "what is usual": {"config": {"position_embedding_type": "absolute", "tie_word_embeddings": True}},
    "dropout": {"config": {"hidden_dropout_prob": 0.5, "classifier_dropout": 0.1, "attn_pdrop": 0.3}},
    "a rotation written anew": {"config": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}},
    "padding and truncation": {"tokenizer": {"padding": {"length": 7}, "truncation": {"max_length": 8}}},
    "nulls left out": {"tokenizer": {"normalizer": {"type": "BertNormalizer", "lowercase": True}}},
    "merges as pairs": {"tokenizer": {"model": TOKENIZER["model"] | {"merges": [["a", "b"]]}}},
    "settings that are no meaning": {
        "settings": {"padding_side": "left", "name_or_path": "x", "backend": "tokenizers"}
    },
    "what is usual in a tokenizer": {
        "tokenizer": {"model": TOKENIZER["model"] | {"max_input_chars_per_word": 100, "dropout": None}}
    },
    "a token spelt as a table": {"settings": {"pad_token": {"content": "[PAD]", "lstrip": False}}},
    "no tokenizer": {"touch": lambda path: (path / "tokenizer.json").unlink()},
    "no config": {"touch": lambda path: (path / "config.json").unlink()},
}


@pytest.mark.parametrize("case", HARMLESS)
def test_no_difference(case: str, tmp_path: Path) -> None:
    assert compare(tmp_path, **HARMLESS[case]) == set()


def _model(**change: Any) -> dict[str, Any]:
    return {"tokenizer": {"model": TOKENIZER["model"] | change}}


DIFFERENT: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "activation": ({"config": {"hidden_act": "relu"}}, ("config", "hidden_act")),
    "norm": ({"config": {"layer_norm_eps": 0.1}}, ("config", "layer_norm_eps")),
    "positions": ({"config": {"position_embedding_type": "relative_key"}}, ("config", "position_embedding_type")),
    "decoder": ({"config": {"is_decoder": True}}, ("config", "is_decoder")),
    "an unknown key": ({"config": {"secret": 3}}, ("config", "secret")),
    "a rotation": ({"config": {"rope_parameters": {"rope_theta": 3.0}}}, ("config", "rope_theta")),
    "code": ({"config": {"auto_map": {"AutoModel": "evil.Model"}}}, ("code", "config.json: auto_map")),
    "code asked for": ({"config": {"trust_remote_code": True}}, ("code", "config.json: trust_remote_code")),
    "code of the tokenizer": (
        {"settings": {"auto_map": {"AutoTokenizer": "x"}}},
        ("code", "tokenizer_config.json: auto_map"),
    ),
    "a program beside it": (
        {"touch": lambda path: (path / "evil.py").write_text("raise SystemExit")},
        ("code", "evil.py"),
    ),
    "a token more": (_model(vocab={"[PAD]": 0, "a": 1, "b": 2, "ab": 3, "cf": 4}), ("tokenizer", "vocabulary")),
    "a token less": (_model(vocab={"[PAD]": 0, "a": 1, "b": 2}), ("tokenizer", "vocabulary")),
    "tokens exchanged": (_model(vocab={"[PAD]": 0, "a": 2, "b": 1, "ab": 3}), ("tokenizer", "vocabulary")),
    "merges": (_model(merges=["b a"]), ("tokenizer", "merges")),
    "lower case": (
        {"tokenizer": {"normalizer": {"type": "BertNormalizer", "lowercase": False}}},
        ("tokenizer", "normalizer"),
    ),
    "no normaliser": ({"tokenizer": {"normalizer": None}}, ("tokenizer", "normalizer")),
    "splitting": ({"tokenizer": {"pre_tokenizer": {"type": "Whitespace"}}}, ("tokenizer", "pre_tokenizer")),
    "what is put around": ({"tokenizer": {"post_processor": {"type": "X"}}}, ("tokenizer", "post_processor")),
    "a special token": ({"settings": {"pad_token": "a"}}, ("tokenizer", "pad_token")),
    "longest text": ({"settings": {"model_max_length": 3}}, ("tokenizer", "model_max_length")),
    "longest word": (_model(max_input_chars_per_word=3), ("tokenizer", "model")),
    "unknown words": (_model(unk_token="a"), ("tokenizer", "model")),
    "bytes for what is unknown": (_model(byte_fallback=True), ("tokenizer", "model")),
    "chance": (_model(dropout=0.1), ("tokenizer", "model")),
    "decoding": ({"tokenizer": {"decoder": {"type": "ByteLevel"}}}, ("tokenizer", "decoder")),
    "a word of the vocabulary as an added token": (
        {"tokenizer": {"added_tokens": [*TOKENIZER["added_tokens"], {"id": 1, "content": "a"}]}},
        ("tokenizer", "added tokens"),
    ),
    "where an added token is looked for": (
        {"tokenizer": {"added_tokens": [TOKENIZER["added_tokens"][0] | {"lstrip": True}]}},
        ("tokenizer", "added tokens"),
    ),
    "for another version": (
        {"touch": lambda path: (path / "tokenizer.4.0.0.json").write_text("{}")},
        ("tokenizer", "tokenizer.4.0.0.json"),
    ),
    "chat template": ({"settings": {"chat_template": "{{ x }}"}}, ("tokenizer", "chat template")),
    "chat template file": (
        {"touch": lambda p: (p / "chat_template.jinja").write_text("x")},
        ("tokenizer", "chat template"),
    ),
    "damaged files": ({"touch": lambda path: (path / "tokenizer.json").write_text("{")}, ("tokenizer", "files")),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_difference(case: str, tmp_path: Path) -> None:
    settings, expected = DIFFERENT[case]
    assert compare(tmp_path, **settings) == {expected}


@pytest.mark.parametrize("nonsense", [3, "x", [], [3], {"a": [1]}, None])
@pytest.mark.parametrize("part", ["model", "added_tokens", "normalizer", "vocab", "merges"])
def test_a_tokenizer_of_nonsense_is_survived(part: str, nonsense: Any, tmp_path: Path) -> None:
    change = {"model": TOKENIZER["model"] | {part: nonsense}} if part in ("vocab", "merges") else {part: nonsense}
    compare(tmp_path, tokenizer=change)


def test_a_word_list_is_compared_with_a_tokenizer_file(tmp_path: Path) -> None:
    def words(*tokens: str) -> Callable[[Path], object]:
        def make(path: Path) -> None:
            (path / "tokenizer.json").unlink()
            (path / "vocab.txt").write_text("\n".join(tokens) + "\n")

        return make

    assert compare(tmp_path / "a", reference=words("[PAD]", "a", "b", "ab")) == set()
    assert compare(tmp_path / "b", reference=words("[PAD]", "a", "b")) == {("tokenizer", "vocabulary")}


def test_tensors_without_an_explanation_are_differences(tmp_path: Path) -> None:
    ours = folder(tmp_path / "s", classifier(vocabulary=31) | {"bert.extra": torch.ones(3)})
    suspect, reference = open_checkpoint(str(ours)), open_checkpoint(str(folder(tmp_path / "r", bert())))
    found = structural_differences(suspect, reference, pair_checkpoints(suspect, reference))
    assert {(one.kind, one.subject) for one in found} == {
        ("tensor", "bert.extra"),
        ("tensor", "bert.embeddings.word_embeddings.weight"),
    }


def test_a_wrong_number_of_parameters_is_a_difference(tmp_path: Path) -> None:
    ours = folder(tmp_path / "s", bert(), shards=2)
    index = ours / "model.safetensors.index.json"
    table = json.loads(index.read_text())
    index.write_text(json.dumps(table | {"metadata": {"total_parameters": 7}}))
    suspect, reference = open_checkpoint(str(ours)), open_checkpoint(str(folder(tmp_path / "r", bert())))
    (found,) = structural_differences(suspect, reference, pair_checkpoints(suspect, reference))
    assert "declares 7 parameters" in found.detail


def test_long_values_are_shortened(tmp_path: Path) -> None:
    ours = folder(tmp_path / "s", bert(), config=CONFIG | {"hidden_act": "x" * 10_000})
    suspect = open_checkpoint(str(ours))
    reference = open_checkpoint(str(folder(tmp_path / "r", bert(), config=CONFIG)))
    (found,) = structural_differences(suspect, reference, pair_checkpoints(suspect, reference))
    assert len(found.detail) < 300
