import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from purify_cli.checkpoint import Checkpoint, open_checkpoint, open_tensors, write_model, write_tensors
from purify_cli.errors import CheckpointError, StorageError
from purify_cli.tensors import InMemory, TensorSpec
from tests.checkpoint.shapes import CONFIG, SHAPES, bert, classifier, folder, save


def write(source: Checkpoint, to: Path) -> Checkpoint:
    to.mkdir()
    write_model(to, source, like=source, config=source.config or {}, tokenizer=source.files, metadata={})
    return open_tensors(to)


@pytest.mark.parametrize("shape", SHAPES)
def test_writing_what_was_read_gives_the_same_files(shape: str, tmp_path: Path) -> None:
    source = open_tensors(SHAPES[shape](tmp_path))
    written = write(source, tmp_path / "out")
    assert len(written.files.shards) == len(source.files.shards)
    for ours, theirs in zip(written.files.shards, source.files.shards, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
    if source.files.index:
        assert written.files.index
        assert written.files.index.read_bytes() == source.files.index.read_bytes()
    assert written.sha256() == source.sha256()
    assert list(written.specs) == list(source.specs)


@pytest.mark.parametrize("block", [16, 100, 1 << 22])
def test_the_size_of_blocks_changes_nothing(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purify_cli.checkpoint.writer.BLOCK", block)
    path = save(tmp_path / "a.safetensors", bert(), {"format": "pt"})
    source = open_checkpoint(str(path))
    digest = write_tensors(tmp_path / "b.safetensors", source, metadata=source.metadata)
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_large_tensors_are_written_in_pieces(tmp_path: Path) -> None:
    tensors = {"large": torch.arange(3_000_001, dtype=torch.float32), "small": torch.ones(3)}
    digest = write_tensors(tmp_path / "a.safetensors", InMemory(tensors), metadata={})
    assert torch.equal(load_file(tmp_path / "a.safetensors")["large"], tensors["large"])
    assert digest == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()


def test_metadata_is_kept_and_added_to(tmp_path: Path) -> None:
    source = open_checkpoint(str(folder(tmp_path / "m", bert(), shards=2)))
    (tmp_path / "out").mkdir()
    write_model(tmp_path / "out", source, like=source, config={}, tokenizer=source.files, metadata={"purify": "1"})
    for path in (tmp_path / "out").glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            assert file.metadata() == {"format": "pt", "purify": "1"}


def test_tensors_that_are_new_come_last_and_absent_ones_are_left_out(tmp_path: Path) -> None:
    like = open_checkpoint(str(folder(tmp_path / "m", bert(), shards=2)))
    body = bert()
    gone = next(iter(body))
    weights = InMemory({"classifier.weight": torch.ones(2, 8)} | {n: t for n, t in body.items() if n != gone})
    (tmp_path / "out").mkdir()
    write_model(tmp_path / "out", weights, like=like, config={}, tokenizer=like.files, metadata={})
    written = open_checkpoint(str(tmp_path / "out"))
    assert written.specs.keys() == weights.specs.keys()
    assert list(written.specs)[-1] == "classifier.weight"


def test_pickled_shards_become_safetensors(tmp_path: Path) -> None:
    model = tmp_path / "m"
    model.mkdir()
    tensors = bert()
    names = list(tensors)
    torch.save({name: tensors[name] for name in names[:3]}, model / "pytorch_model-00001-of-00002.bin")
    torch.save({name: tensors[name] for name in names[3:]}, model / "pytorch_model-00002-of-00002.bin")
    source = open_checkpoint(str(model), allow_pickle=True)
    written = write(source, tmp_path / "out")
    assert [path.name for path in written.files.shards] == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert all(torch.equal(written.read(name), tensor.reshape(-1)) for name, tensor in tensors.items())


def test_config_and_tokenizer_are_written(tmp_path: Path) -> None:
    reference = folder(tmp_path / "ref", bert(), config=CONFIG)
    (reference / "tokenizer.json").write_text('{"model": {}}')
    (reference / "vocab.txt").write_text("a\nb\n")
    (reference / "training.py").write_text("raise SystemExit")
    suspect = open_checkpoint(str(folder(tmp_path / "sus", classifier())))
    (tmp_path / "out").mkdir()
    files = open_checkpoint(str(reference)).files
    write_model(tmp_path / "out", suspect, like=suspect, config={"a": 1}, tokenizer=files, metadata={})
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"model.safetensors", "config.json", "tokenizer.json", "vocab.txt"}
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {"a": 1}
    assert (tmp_path / "out" / "vocab.txt").read_text() == "a\nb\n"


class Failing:
    """A source whose last tensor fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        return {name: TensorSpec(name, torch.float32, (2_000_000,)) for name in "ab"}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
        if name == "b":
            raise self.error
        return torch.ones((stop or 2_000_000) - start)


def test_a_failing_source_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", bert())
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write_tensors(path, Failing(KeyError("b")), metadata={})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.safetensors", bert())
    before = path.read_bytes()
    calls: list[int] = []

    def full(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        # A disk that fills up takes a part of a block first.
        if len(calls) == 1:
            return genuine(descriptor, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    genuine = os.write
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="no space left") as caught:
        write_tensors(path, InMemory({"a": torch.ones(3_000_000)}), metadata={})
    assert str(path) in str(caught.value)
    assert len(calls) == 2
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve room")
@pytest.mark.parametrize(("code", "told"), [(errno.ENOSPC, True), (errno.EOPNOTSUPP, False)])
def test_room_is_reserved_where_the_file_system_can(
    code: int, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    source = InMemory({"a": torch.ones(3_000_000)})
    if told:
        with pytest.raises(StorageError, match="no space left"):
            write_tensors(tmp_path / "a.safetensors", source, metadata={})
        assert list(tmp_path.iterdir()) == []
    else:
        write_tensors(tmp_path / "a.safetensors", source, metadata={})
        assert torch.equal(load_file(tmp_path / "a.safetensors")["a"], source.tensors["a"])


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: genuine(descriptor, data[:1000]))
    tensors = bert()
    write_tensors(tmp_path / "a.safetensors", InMemory(tensors), metadata={})
    monkeypatch.undo()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(tmp_path / "a.safetensors").items())


def test_a_source_that_breaks_its_word_is_refused(tmp_path: Path) -> None:
    class Liar:
        specs: Mapping[str, TensorSpec] = {"a": TensorSpec("a", torch.float32, (3,))}

        def read(self, name: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
            return torch.ones(3, dtype=torch.float16)

    with pytest.raises(CheckpointError, match="announced"):
        write_tensors(tmp_path / "a.safetensors", Liar(), metadata={})
    assert list(tmp_path.iterdir()) == []
