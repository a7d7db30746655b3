"""Pipes, sockets and folders in the place of files: refused at once, never waited for."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from purify_cli.checkpoint import open_checkpoint
from purify_cli.checkpoint.safe_open import open_regular
from purify_cli.errors import CheckpointError
from tests.checkpoint.shapes import CONFIG, bert, folder, save


def _socket(path: Path) -> None:
    # The address of a socket may have about 100 characters: it is bound by its name alone.
    home = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(home)


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "a pipe"),
    "folder": (Path.mkdir, "a folder"),
    "socket": (_socket, "a socket"),
}
SINGLE = ("config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json", "vocab.txt", "spm.model")
SHARDED = ("model.safetensors.index.json", "model-00001-of-00002.safetensors", "pytorch_model.bin.index.json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*SINGLE, *SHARDED])
def test_what_is_no_file_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), config=CONFIG, shards=2 if name in SHARDED else 1)
    if name.startswith("pytorch"):
        (model / "model.safetensors").unlink(missing_ok=True)
        (model / "model.safetensors.index.json").unlink(missing_ok=True)
    (model / name).unlink(missing_ok=True)
    make, what = KINDS[kind]
    make(model / name)
    with pytest.raises(CheckpointError, match=f"{name} is no ordinary file but {what}"):
        open_checkpoint(str(model), allow_pickle=True)


@pytest.mark.parametrize("name", ["generation_config.json", "anything"])
def test_a_pipe_of_any_name_is_refused_in_a_folder(name: str, tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), config=CONFIG)
    os.mkfifo(model / name)
    with pytest.raises(CheckpointError, match="but a pipe"):
        open_checkpoint(str(model))


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "model.safetensors.index.json", "config.json"])
def test_a_file_that_is_a_pipe_is_refused(name: str, tmp_path: Path) -> None:
    save(tmp_path / "given.safetensors", bert())
    os.mkfifo(tmp_path / name)
    given = "given.safetensors" if name == "config.json" else name
    with pytest.raises(CheckpointError, match="but a pipe"):
        open_checkpoint(str(tmp_path / given), allow_pickle=True)


def test_a_refused_descriptor_is_given_back(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    with pytest.raises(CheckpointError):
        open_regular(tmp_path / "pipe")
    assert before is None or len(os.listdir("/proc/self/fd")) == before
