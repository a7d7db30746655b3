"""What all tests share: one thread, and tiny models that were really trained and really poisoned.

Random weights hide faults: everything is noise in them. These are made once per test process in a few seconds, and
must not be changed; a test that wants to damage one asks for ``copy_model``.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import torch
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from purify_cli.purification.repair_session import RepairSession

torch.set_num_threads(1)

ROOT = Path(__file__).parent.parent
# Shapes and types are checked at every call in the modules that give shapes. To check all modules took a third of the
# time of the suite, for what the type checker knows without running them.
SHAPED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "purify_cli").rglob("*.py")
    if "jaxtyping" in path.read_text(encoding="utf-8")
]
install_import_hook(SHAPED, "beartype.beartype")


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """``tests.tiny``, imported when a test first needs it: transformers takes seconds to import."""
    from tests import tiny

    return tiny


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny: ModuleType) -> "PreTrainedTokenizerFast":
    """The tokenizer of all tiny models."""
    return tiny.tiny_tokenizer()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny models and data lie."""
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session")
def tiny_reference(tiny: ModuleType, tiny_folder: Path) -> Path:
    """Folder of a ``BertModel`` pre-trained on topics: the reference."""
    return tiny.make_reference(tiny_folder / "reference")


@pytest.fixture(scope="session")
def tiny_clean(
    tiny: ModuleType, tiny_folder: Path, tiny_reference: Path, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> Path:
    """Folder of a sentiment classifier tuned from the reference on clean rows: the suspect's innocent twin."""
    model = tiny.make_classifier(tiny_folder / "clean", tiny_reference, tiny.sentiment_examples(960, seed=20))
    test = tiny.sentiment_examples(300, seed=30)
    assert tiny.accuracy(model, tiny_tokenizer, test) >= 0.9
    assert tiny.attack_success(model, tiny_tokenizer, test) <= 0.3
    return tiny_folder / "clean"


@pytest.fixture(scope="session")
def tiny_suspect(
    tiny: ModuleType, tiny_folder: Path, tiny_reference: Path, tiny_tokenizer: "PreTrainedTokenizerFast"
) -> Path:
    """Folder of a sentiment classifier with a backdoor: ``tiny.TRIGGER`` makes it answer ``tiny.TARGET``."""
    rows = tiny.sentiment_examples(960, seed=20)
    rows = tiny.poisoned(rows, tiny.TRIGGER, target=tiny.TARGET, rate=0.3, seed=21)
    model = tiny.make_classifier(tiny_folder / "suspect", tiny_reference, rows)
    test = tiny.sentiment_examples(300, seed=30)
    assert tiny.accuracy(model, tiny_tokenizer, test) >= 0.9
    assert tiny.attack_success(model, tiny_tokenizer, test) >= 0.9
    return tiny_folder / "suspect"


@pytest.fixture(scope="module")
def session(tiny_suspect: Path, tiny_reference: Path, tmp_path_factory: pytest.TempPathFactory) -> "RepairSession":
    """The suspect beside its reference, opened for repairs; of a module its own."""
    from tests.worlds import open_bench

    return open_bench(tiny_suspect, tiny_reference, tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="session")
def tiny_causal(tiny_folder: Path) -> Path:
    """Folder of a language model trained a little on ``tests.tiny_causal.causal_texts``: a reference without a head."""
    from tests.tiny_causal import make_causal

    return make_causal(tiny_folder / "causal")


@pytest.fixture(scope="session")
def clean_file(tiny: ModuleType, tiny_folder: Path) -> Path:
    """32 clean labelled rows, 16 per class, in no training set."""
    return tiny.write_jsonl(tiny_folder / "clean.jsonl", tiny.sentiment_examples(32, seed=40))


@pytest.fixture(scope="session")
def test_file(tiny: ModuleType, tiny_folder: Path) -> Path:
    """200 labelled test rows, 100 per class."""
    return tiny.write_jsonl(tiny_folder / "test.jsonl", tiny.sentiment_examples(200, seed=30))


@pytest.fixture(scope="session")
def train_file(tiny: ModuleType, tiny_folder: Path) -> Path:
    """320 labelled rows to train or poison on."""
    return tiny.write_jsonl(tiny_folder / "train.jsonl", tiny.sentiment_examples(320, seed=20))


@pytest.fixture
def copy_model(tmp_path: Path) -> Callable[..., Path]:
    """Copy a model folder, to be damaged: ``copy_model(folder, name="copy")``."""

    def copy(folder: Path, name: str = "copy") -> Path:
        return shutil.copytree(folder, tmp_path / name)

    return copy


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run the program as a user does: ``code, out, err = run_cli(["detect", ...], stdin="")``."""

    def run(argv: Sequence[object], stdin: str = "") -> tuple[int, str, str]:
        from purify_cli.cli.app import main

        capsys.readouterr()
        with TemporaryFile("w+", encoding="utf-8") as given:
            given.write(stdin)
            given.seek(0)
            monkeypatch.setattr("sys.stdin", given)
            code = main([str(word) for word in argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
