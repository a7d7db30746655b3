"""What may be replaced, and what never."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from purify_cli.checkpoint import may_replace, staged_folder
from purify_cli.checkpoint.filenames import TOKENIZER_FILES
from purify_cli.errors import OutputExists, StorageError

MODEL = (
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "README.md",
    "purification.json",
    *TOKENIZER_FILES,
)


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("old")
    return path


def tree(path: Path) -> dict[str, str]:
    return {str(one.relative_to(path)): one.read_text() for one in path.rglob("*") if one.is_file()}


def test_a_whole_model_is_replaced_on_request_only(tmp_path: Path) -> None:
    target = folder(tmp_path / "out", *MODEL)
    with pytest.raises(OutputExists, match="exists") as caught:
        may_replace(target, overwrite=False)
    assert "--overwrite" in caught.value.hint
    may_replace(target, overwrite=True)
    assert set(tree(target)) == set(MODEL)


def test_what_is_not_there_or_empty_is_free(tmp_path: Path) -> None:
    may_replace(tmp_path / "a" / "b", overwrite=False)
    (tmp_path / "empty").mkdir()
    may_replace(tmp_path / "empty", overwrite=False)
    assert os.listdir(tmp_path) == ["empty"]


def _link(target: Path) -> None:
    folder(target, "config.json").joinpath("model.safetensors").symlink_to(target.parent / "elsewhere")


STRANGERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a project": (lambda p: folder(p, "config.json", "src/main.py"), "'src'"),
    "a program beside a model": (lambda p: folder(p, *MODEL, "train.py"), "'train.py'"),
    "a run folder": (lambda p: folder(p, "purification.json", "mask.safetensors", "log.jsonl"), "'log.jsonl'"),
    "a repository": (lambda p: folder(p, "README.md", "config.json", ".git/HEAD"), "'.git'"),
    "a folder named like weights": (lambda p: folder(p, "config.json", "model.safetensors/a"), "'model.safetensors'"),
    "a link among the files": (_link, "'model.safetensors'"),
    "the optimizer of a training": (lambda p: folder(p, "model.safetensors", "optimizer.pt"), "'optimizer.pt'"),
    "notes": (lambda p: folder(p, "README.md"), "no model"),
    "a tokenizer": (lambda p: folder(p, "tokenizer.json", "vocab.txt"), "no model"),
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("case", STRANGERS)
def test_what_is_no_model_is_never_replaced(case: str, overwrite: bool, tmp_path: Path) -> None:
    make, named = STRANGERS[case]
    make(tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(OutputExists, match=named) as caught:
        may_replace(tmp_path / "out", overwrite=overwrite)
    assert "--overwrite" not in caught.value.hint
    with pytest.raises(OutputExists, match=named), staged_folder(tmp_path / "out", overwrite=overwrite):
        pytest.fail("the block must not be entered")
    assert tree(tmp_path) == before


def test_what_appears_during_the_work_is_not_replaced_either(tmp_path: Path) -> None:
    target = folder(tmp_path / "out", "config.json")

    def work() -> None:
        with staged_folder(target, overwrite=True) as aside:
            folder(aside, "config.json")
            folder(target, "thesis.tex")

    with pytest.raises(OutputExists, match=r"thesis\.tex"):
        work()
    assert set(tree(tmp_path)) == {"out/config.json", "out/thesis.tex"}


@pytest.mark.parametrize("kept", ["out", "out/model.safetensors", "link/model.safetensors", "later", "later/run"])
def test_what_is_to_be_kept_is_kept(kept: str, tmp_path: Path) -> None:
    """A path that is to be kept may come to be only later, as a run folder does."""
    folder(tmp_path / "out", "model.safetensors", "config.json")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    target = tmp_path / ("later" if kept.startswith("later") else "out")
    keep = [tmp_path / "other", tmp_path / kept]
    with pytest.raises(OutputExists, match="cannot be replaced"):
        may_replace(target, overwrite=True, keep=keep)
    with pytest.raises(OutputExists), staged_folder(target, overwrite=True, keep=iter(keep)):
        pytest.fail("the block must not be entered")


def test_a_new_folder_inside_or_beside_a_kept_one_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "run", "model.safetensors")
    monkeypatch.chdir(tmp_path)
    for target in ("run/purified", "run2", "purified"):
        may_replace(Path(target), overwrite=False, keep=[tmp_path / "run", Path.cwd()])
    with pytest.raises(OutputExists, match="in use"):
        may_replace(Path(), overwrite=True, keep=[Path.cwd()])


def test_a_folder_seen_under_another_path_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that ignores case."""
    one, other = (folder(tmp_path / name, "config.json") for name in ("model", "MODEL-seen-twice"))
    monkeypatch.setattr(Path, "samefile", lambda self, to: {self, to} == {one, other})
    with pytest.raises(OutputExists, match="contains"):
        may_replace(one, overwrite=True, keep=[other / "config.json"])


@pytest.mark.parametrize("target", ["file", "file/out", "file/deep/out", "x" * 300])
def test_a_place_that_cannot_be_is_told_early(target: str, tmp_path: Path) -> None:
    folder(tmp_path, "file")
    with pytest.raises((StorageError, OutputExists), match=r"file|name too long"):
        may_replace(tmp_path / target, overwrite=True)
    assert os.listdir(tmp_path) == ["file"]


def test_a_closed_folder_is_told_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(StorageError, match="closed for writing"):
        may_replace(tmp_path / "a" / "out", overwrite=True)


def test_an_interrupted_replacement_counts_as_the_result_it_was(tmp_path: Path) -> None:
    folder(tmp_path / ".out.old-0123abcd", "config.json")
    with pytest.raises(OutputExists, match="exists"):
        may_replace(tmp_path / "out", overwrite=False)
    assert tree(tmp_path) == {"out/config.json": "old"}


def test_an_interrupted_replacement_on_a_closed_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    folder(tmp_path / ".out.old-0123abcd", "config.json")
    monkeypatch.setattr(os, "rename", closed)
    with pytest.raises(StorageError, match="Read-only"):
        may_replace(tmp_path / "out", overwrite=True)
