import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from purify_cli.checkpoint import Checkpoint, open_checkpoint, open_tensors, write_tensors
from purify_cli.checkpoint.jsonfiles import MOST_CONTAINERS
from purify_cli.errors import CheckpointError
from purify_cli.tensors import chunks, read_tensor
from tests.checkpoint.shapes import CONFIG, SHAPES, bert, folder, save


@pytest.fixture(params=SHAPES)
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoint:
    return open_tensors(SHAPES[request.param](tmp_path))


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_reads_what_the_format_s_own_reader_reads(checkpoint: Checkpoint) -> None:
    expected = {name: tensor for path in checkpoint.files.shards for name, tensor in load_file(path).items()}
    assert checkpoint.specs.keys() == expected.keys()
    for name, tensor in expected.items():
        found = read_tensor(checkpoint, name)
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert bits(found) == bits(tensor)


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_any_chunking_gives_the_same(checkpoint: Checkpoint, size: int) -> None:
    pieces: dict[str, bytes] = dict.fromkeys(checkpoint.specs, b"")
    for name, start, chunk in chunks(checkpoint, size=size):
        assert len(pieces[name]) == start * chunk.dtype.itemsize
        pieces[name] += bits(chunk)
    assert pieces == {name: bits(checkpoint.read(name)) for name in checkpoint.specs}


def test_a_chunk_belongs_to_its_reader(checkpoint: Checkpoint) -> None:
    name = next(iter(checkpoint.specs))
    before = bits(checkpoint.read(name))
    checkpoint.read(name).zero_()
    assert bits(checkpoint.read(name)) == before


def test_hash_of_one_file_is_the_file_s(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", bert())
    assert open_checkpoint(str(path)).sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_hash_of_several_files_is_that_of_their_list(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), shards=3)
    paths = sorted(model.glob("*.safetensors"))
    lines = "".join(f"{path.name}  {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in paths)
    assert len(paths) == 3
    assert open_checkpoint(str(model)).sha256() == hashlib.sha256(lines.encode()).hexdigest()


def test_a_file_swapped_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", bert())
    checkpoint = open_checkpoint(str(path))
    save(tmp_path / "b.safetensors", bert(seed=1))
    os.replace(tmp_path / "b.safetensors", path)
    with pytest.raises(CheckpointError, match="was changed"):
        checkpoint.sha256()


def test_a_file_cut_off_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", bert())
    checkpoint = open_checkpoint(str(path))
    os.truncate(path, path.stat().st_size - 4)
    with pytest.raises(CheckpointError, match="cut off"):
        [checkpoint.read(name) for name in checkpoint.specs]


def test_closing_gives_the_descriptors_back(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), shards=3)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else pytest.skip("no /proc here")
    with open_checkpoint(str(model)) as checkpoint:
        assert len(os.listdir("/proc/self/fd")) == before + 3
        checkpoint.read(next(iter(checkpoint.specs)))
    assert len(os.listdir("/proc/self/fd")) == before


def test_config_and_vocabulary_come_along(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(str(folder(tmp_path / "m", bert(), config=CONFIG)))
    assert checkpoint.config == CONFIG
    assert checkpoint.vocabulary == 30
    bare = open_checkpoint(str(save(tmp_path / "x" / "w.safetensors", {"weight": torch.ones(2)})))
    assert bare.config is None
    assert bare.vocabulary is None


def test_a_bare_file_takes_the_config_beside_it(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), config=CONFIG)
    assert open_checkpoint(str(model / "model.safetensors")).config == CONFIG


def renamed(path: Path, **swaps: str) -> Path:
    """Put other text of the same length into the header, in the spelling of JSON."""
    content = path.read_bytes()
    for old, new in swaps.items():
        assert len(new) == len(old)
        assert content.count(old.encode()) == 1
        content = content.replace(old.encode(), new.encode())
    path.write_bytes(content)
    return path


HALF = "\\udcff"
"""Half a character, as JSON can spell it: legal there, and nothing that a text file can hold."""


@pytest.mark.parametrize("shards", [1, 2])
def test_a_name_that_no_text_file_can_hold_is_refused(shards: int, tmp_path: Path) -> None:
    tensors = {"a": torch.ones(2), "sixsix": torch.ones(2)}
    model = folder(tmp_path / "m", tensors, shards=shards)
    renamed(sorted(model.glob("*.safetensors"))[-1], sixsix=HALF)
    if shards > 1:
        renamed(model / "model.safetensors.index.json", sixsix=HALF)
    with pytest.raises(CheckpointError, match="no valid Unicode") as caught:
        open_checkpoint(str(model))
    str(caught.value).encode()


def test_metadata_that_no_text_file_can_hold_are_refused(tmp_path: Path) -> None:
    path = renamed(save(tmp_path / "a.safetensors", bert(), {"note": "sixsix"}), sixsix=HALF)
    with pytest.raises(CheckpointError, match=r"metadata .* no valid Unicode"):
        open_checkpoint(str(path))


def test_a_pickled_name_that_no_text_file_can_hold_is_refused(tmp_path: Path) -> None:
    torch.save({"a\udcff": torch.ones(2)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError):
        open_checkpoint(str(tmp_path / "a.pt"), allow_pickle=True)


@pytest.mark.parametrize("text", ['{"a": "%s"}', '{"%s": 1}', '{"a": [{"b": ["%s"]}]}'])
def test_a_config_that_no_text_file_can_hold_is_refused(text: str, tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert())
    (model / "config.json").write_text(text % HALF)
    with pytest.raises(CheckpointError, match="no valid Unicode"):
        _ = open_checkpoint(str(model)).config
    whole = "\\ud83d\\ude00 \\u0000"
    (model / "config.json").write_text(text % whole)
    assert open_checkpoint(str(model)).config == json.loads(text % whole)


def test_names_of_control_characters_are_names_like_others(tmp_path: Path) -> None:
    tensors = {"a\0\x1b[2J\n": torch.ones(2), "\x7f\u202e": torch.zeros(2)}
    source = open_checkpoint(str(save(tmp_path / "a.safetensors", tensors, {"\0": "\x1b"})))
    target = tmp_path / "b.safetensors"
    write_tensors(target, source, metadata=source.metadata)
    assert target.read_bytes() == (tmp_path / "a.safetensors").read_bytes()


def test_shards_whose_names_are_no_utf8_have_a_hash(tmp_path: Path) -> None:
    names = [b"\xff-00001-of-00002.bin", b"\xff-00002-of-00002.bin"]
    for at, name in enumerate(names):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            torch.save({f"tensor{at}": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    lines = b"".join(
        name + b"  " + hashlib.sha256(Path(tmp_path / os.fsdecode(name)).read_bytes()).hexdigest().encode() + b"\n"
        for name in sorted(names)
    )
    assert open_checkpoint(str(tmp_path), allow_pickle=True).sha256() == hashlib.sha256(lines).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight",
        "bert.encoder.layer.0.attention.self.query.lora_B.default.weight",
        "base_model.model.bert.encoder.layer.0.attention.self.key.ia3_l",
        "base_model.model.classifier.weight",
        "bert.encoder.layer.0.attention.self.query.base_layer.weight",
        "bert.encoder.layer.0.output.adapters.task.adapter_down.0.weight",
        "prompt_embeddings",
    ],
)
def test_an_adapter_is_known_by_its_tensors(name: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {name: torch.ones(4, 8)})
    with pytest.raises(CheckpointError, match="an adapter, not a whole model") as caught:
        open_checkpoint(str(path))
    assert "merge" in caught.value.hint.lower()


def test_an_adapter_within_whole_weights_is_not_overlooked(tmp_path: Path) -> None:
    extra = {"encoder.layer.0.attention.self.query.lora_A.weight": torch.ones(4, 8)}
    with pytest.raises(CheckpointError, match="an adapter, not a whole model"):
        open_checkpoint(str(save(tmp_path / "a.safetensors", bert() | extra)))


def test_modules_that_are_called_adapters_in_a_model_are_no_adapter(tmp_path: Path) -> None:
    extra = {"roberta.encoder.layer.0.output.adapter_modules.en_XX.dense1.weight": torch.ones(4, 8)}
    assert open_checkpoint(str(save(tmp_path / "a.safetensors", bert() | extra))).specs


def test_a_config_of_millions_of_lists_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    given = folder(tmp_path / "m", bert())
    (given / "config.json").write_bytes(b'{"a":[' + b"[]," * (MOST_CONTAINERS + 1) + b"[]]}")
    with pytest.raises(CheckpointError, match="millions of lists"):
        open_checkpoint(str(given))
