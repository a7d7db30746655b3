import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from purify_cli.checkpoint import open_checkpoint, open_tensors
from purify_cli.checkpoint.header import DTYPES, PACKED, encode_header, read_header
from purify_cli.errors import CheckpointError
from purify_cli.tensors import TensorSpec
from tests.checkpoint.shapes import bert


def raw(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8), **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets} | more


F = b"\0" * 8

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "shorter than a length": (b"\x01\0\0", "too few"),
    "header longer than the file": (raw({}, length=1000), "only 10 bytes"),
    "header longer than allowed": (raw({}, length=1 << 40), "more than is allowed"),
    "a million empty lists": (raw(b'{"a":[' + b"[]," * 1_000_000 + b"[]]}"), "for 0 bytes of tensors"),
    "thousands of empty tensors": (
        raw({f"t{at}": one(shape=[0], offsets=[0, 0]) for at in range(30_000)}),
        "for 0 bytes of tensors",
    ),
    "a shape of many extents": (raw({"a": one(shape=[1] * 9 + [2])}, F), "shape of 10 extents"),
    "a shape of very many extents": (
        raw(b'{"a":{"dtype":"U8","shape":[' + b"9223372036854775807," * 50_000 + b'0],"data_offsets":[0,0]}}'),
        "shape of 50001 extents",
    ),
    "a name of many components": (raw({"bert." * 40_000 + "x": one()}, F), "name has 200001 characters"),
    "a type of four bits": (raw({"a": one("F4", shape=[16])}, F), "has the type F4, which is not supported"),
    "a type of six bits": (raw({"a": one("F6_E2M3")}, F), "has the type F6_E2M3, which is not supported"),
    "header with a sign": (b"\xff" * 16, "more than is allowed"),
    "not JSON": (raw(b"{nonsense"), "not JSON"),
    "not UTF-8": (raw(b'{"\xff": 1}'), "not JSON"),
    "nested beyond reason": (raw(b"[" * 100_000), "not JSON"),
    "a number of many digits": (raw(b'{"a": ' + b"9" * 10_000 + b"}"), "not JSON"),
    "a list": (raw([1, 2]), "no table"),
    "a key twice": (raw(b'{"a": 1, "a": 2}'), "twice"),
    "a tensor twice": (raw(b'{"a": %s, "a": %s}' % ((json.dumps(one()).encode(),) * 2), F), "twice"),
    "metadata that is no table": (raw({"__metadata__": 3}), "metadata"),
    "metadata of numbers": (raw({"__metadata__": {"a": 3}}), "metadata"),
    "an entry that is no table": (raw({"a": 3}, F), "not described"),
    "an entry with too little": (raw({"a": {"dtype": "F32"}}, F), "not described"),
    "an entry with too much": (raw({"a": one(extra=1)}, F), "not described"),
    "an unknown type": (raw({"a": one("F7")}, F), "unknown type"),
    "a type that is no name": (raw({"a": one(["F32"])}, F), "unknown type"),
    "a negative extent": (raw({"a": one(shape=[-2])}, F), "natural numbers"),
    "an extent that is true": (raw({"a": one(shape=[True, 2])}, F), "natural numbers"),
    "a fractional extent": (raw({"a": one(shape=[2.0])}, F), "natural numbers"),
    "a huge extent": (raw({"a": one(shape=[1 << 70])}, F), "natural numbers"),
    "a huge product": (raw({"a": one(shape=[1 << 40, 1 << 40])}, F), "shape and type do not give"),
    "a shape of zero and huge": (raw({"a": one(shape=[0, 1 << 62])}, F), "shape and type do not give"),
    "a shape of zero and huge without bytes": (
        raw({"a": one(shape=[0, 1 << 62], offsets=[0, 0])}),
        "shape and type do not give",
    ),
    "a negative offset": (raw({"a": one(offsets=[-8, 0])}, F), "no pair"),
    "offsets in the wrong order": (raw({"a": one(offsets=[8, 0])}, F), "no pair"),
    "a fractional offset": (raw({"a": one(offsets=[0, 8.0])}, F), "no pair"),
    "three offsets": (raw({"a": one(offsets=[0, 8, 9])}, F), "no pair"),
    "too few bytes for the shape": (raw({"a": one(offsets=[0, 4])}, F), "shape and type do not give"),
    "out of range": (raw({"a": one()}, b"\0" * 4), "is cut off"),
    "overlapping": (raw({"a": one(), "b": one(offsets=[4, 12])}, b"\0" * 12), "overlaps"),
    "two in one place": (raw({"a": one(), "b": one()}, F), "overlaps"),
    "a hole": (raw({"a": one(), "b": one(offsets=[12, 20])}, b"\0" * 20), "gap"),
    "a hole in front": (raw({"a": one(offsets=[4, 12])}, b"\0" * 12), "gap"),
    "bytes behind": (raw({"a": one()}, b"\0" * 9), "belong to no tensor"),
    "no tensors": (raw({}), "holds no tensors"),
    "a zip archive": (b"PK\x03\x04" + b"\0" * 60, "zip archive"),
    "a pickle": (b"\x80\x02}q\x00." + b"\0" * 60, "pickle"),
    "a GGUF file": (b"GGUF\x03\0\0\0" + b"\0" * 60, "GGUF"),
    "an LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n" + b"\0" * 60, "Git LFS"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    data, message = REFUSED[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(str(path))
    assert caught.value.hint.endswith((".", "?"))
    assert not str(caught.value).endswith(".")


def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = save({"a": torch.arange(3.0), "b": torch.ones(2, dtype=torch.int8)})
    path = tmp_path / "model.safetensors"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            open_checkpoint(str(path))


def test_nothing_is_allocated_for_what_a_header_claims(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw({"a": one(shape=[1 << 60], offsets=[0, 1 << 62])}, F))
    with pytest.raises(CheckpointError, match="is cut off"):
        open_checkpoint(str(path))


def test_a_length_that_begins_like_a_pickle_is_a_length(tmp_path: Path) -> None:
    text = json.dumps({"a": one()}).encode().ljust(0x80)
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw(text, F))
    assert path.read_bytes().startswith(b"\x80")
    assert open_checkpoint(str(path)).read("a").tolist() == [0, 0]


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}, {"format": 'q"uo\u00e9\n'}])
def test_header_is_the_format_s_own_byte_for_byte(metadata: dict[str, str], tmp_path: Path) -> None:
    tensors = {"grö\u00dfe": torch.ones(3), **bert(), "half": torch.ones(3).half(), "n": torch.arange(3)}
    expected = save(tensors, metadata or None)
    path = tmp_path / "model.safetensors"
    path.write_bytes(expected)
    descriptor = os.open(path, os.O_RDONLY)
    specs, offsets, found = read_header(descriptor, path)
    os.close(descriptor)
    assert found == metadata
    ours = encode_header(specs, found)
    assert ours == expected[: len(ours)]
    assert min(offsets.values()) == len(ours)


def test_a_type_without_a_name_is_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot hold"):
        encode_header({"a": TensorSpec("a", torch.complex128, (1,))}, {})


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_that_torch_has_is_read(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw({"a": one(dtype, shape=[8 // DTYPES[dtype].itemsize])}, bytes(range(8))))
    read = open_tensors(path).read("a")
    assert read.dtype == DTYPES[dtype]
    assert bytes(read.view(torch.uint8).numpy()) == bytes(range(8))


def test_the_types_are_those_of_the_installed_format() -> None:
    from safetensors import torch as installed

    types = {name: dtype for name, dtype in installed._TYPES.items() if name not in PACKED}
    assert types.items() <= DTYPES.items()
