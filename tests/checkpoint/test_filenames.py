"""The table of tokenizer files, against every tokenizer that the installed transformers has."""

import ast
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import transformers

from purify_cli.checkpoint import resolve
from purify_cli.checkpoint.filenames import is_tokenizer_file, is_weight_file
from purify_cli.checkpoint.hub import WANTED
from tests.checkpoint.shapes import CONFIG, bert, folder


def vocabulary_names() -> set[str]:
    """The values of every VOCAB_FILES_NAMES table in the source of transformers."""
    found: set[str] = set()
    for path in (Path(transformers.__file__).parent / "models").glob("*/tokenization_*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body if "VOCAB_FILES_NAMES = {" in text else []:
            named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VOCAB_FILES_NAMES"
            if named and isinstance(node.value, ast.Dict):
                found |= {one.value for one in node.value.values if isinstance(one, ast.Constant)}
    return {name for name in found if isinstance(name, str)}


def test_every_vocabulary_of_transformers_is_known_and_fetched() -> None:
    names = vocabulary_names()
    assert {"vocab.txt", "spm.model", "sentencepiece.bpe.model"} <= names
    assert [name for name in names if not is_tokenizer_file(name)] == []
    assert [name for name in names if not any(fnmatchcase(name, pattern) for pattern in WANTED)] == []


@pytest.mark.parametrize(
    "name",
    [
        "spm.model",
        "spiece.model",
        "sentencepiece.model",
        "sentencepiece.bpe.model",
        "tokenizer.model",
        "tokenizer.model.v3",
        "tekken.json",
        "qwen.tiktoken",
        "bpe.codes",
    ],
)
def test_a_folder_with_a_vocabulary_has_a_tokenizer(name: str, tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), config=CONFIG)
    (model / "tokenizer_config.json").write_text("{}")
    assert resolve(str(model)).tokenizer is None
    (model / name).write_bytes(b"x")
    assert resolve(str(model)).tokenizer == model
    assert any(fnmatchcase(name, pattern) for pattern in WANTED)


def test_the_state_of_a_training_is_no_model() -> None:
    state = ("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "rng_state_0.pth", "training_args.bin")
    assert not any(map(is_weight_file, (*state, "optimizer_0.bin", "random_states_0.pkl", "trainer_state.json")))
    assert all(map(is_weight_file, ("optimizer.safetensors", "pytorch_model.bin", "best.ckpt", "MODEL.GGUF")))
