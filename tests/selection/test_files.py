import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from purify_cli.errors import CheckpointError, RunFolderError
from purify_cli.selection.mask import build_mask, read_mask, write_mask
from purify_cli.tensors import InMemory
from tests.reference.sources import generator


@pytest.fixture
def mask():
    g = generator(5)
    return build_mask(InMemory({"a.weight": torch.rand(9, 5, generator=g), "b": torch.rand(16, generator=g)}), 0.3)


def test_a_mask_comes_back(mask, tmp_path):
    path = tmp_path / "mask.safetensors"
    sha = write_mask(path, mask, {"indicator": "drift"})
    again = read_mask(path)
    assert (again.ratio, again.count, again.dimensions) == (mask.ratio, mask.count, mask.dimensions)
    assert again.shapes == mask.shapes
    assert all(torch.equal(again.read(name), mask.read(name)) for name in mask.shapes)
    assert sha == write_mask(path, again, {"indicator": "drift"})


def test_others_can_read_it(mask, tmp_path):
    write_mask(tmp_path / "mask.safetensors", mask, {"format": "other", "more": "text"})
    with safe_open(tmp_path / "mask.safetensors", framework="np") as file:
        about = file.metadata()
        assert about["format"] == "purify-mask-1"
        assert (about["more"], about["count"], about["dimensions"]) == ("text", str(mask.count), "61")
        for name, shape in json.loads(about["shapes"]).items():
            bits = np.unpackbits(file.get_tensor(name), count=int(np.prod(shape)), bitorder="little")
            assert np.array_equal(bits.astype(bool), mask.read(name).numpy())


def damage(tensors, about, what):
    if what == "format":
        about["format"] = "purify-mask-0"
    elif what == "shapes":
        about["shapes"] = "[1]"
    elif what == "names":
        about["shapes"] = json.dumps({"b": [16]})
    elif what == "negative":
        about["shapes"] = json.dumps({"a.weight": [-9, -5], "b": [16]})
    elif what == "count":
        about["count"] = "3"
    elif what == "ratio":
        about["ratio"] = "much"
    elif what == "dimensions":
        about["dimensions"] = "60"
    elif what == "short":
        tensors["b"] = tensors["b"][:1].clone()
    elif what == "type":
        tensors["b"] = tensors["b"].view(torch.int8)
    elif what == "beyond":
        tensors["a.weight"][-1] |= 0x80


@pytest.mark.parametrize(
    "what",
    ["format", "shapes", "names", "negative", "count", "ratio", "dimensions", "short", "type", "beyond"],
)
def test_masks_that_contradict_themselves_are_refused(mask, tmp_path, what):
    path = tmp_path / "mask.safetensors"
    write_mask(path, mask, {})
    with safe_open(path, framework="pt") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    damage(tensors, about, what)
    save_file(tensors, path, metadata=about)
    with pytest.raises(RunFolderError):
        read_mask(path)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "mask.safetensors").write_bytes(b"mask")
    with pytest.raises(CheckpointError):
        read_mask(tmp_path / "mask.safetensors")
