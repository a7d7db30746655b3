import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from purify_cli.checkpoint import open_checkpoint
from purify_cli.errors import CheckpointError
from tests.checkpoint.shapes import bert


class Harmful:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def open_pickle(path: Path) -> Any:
    return open_checkpoint(str(path), allow_pickle=True)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_reads_as_its_tensors(zipped: bool, tmp_path: Path) -> None:
    tensors = bert() | {"turned": torch.arange(6.0).reshape(2, 3).t()}
    torch.save(tensors, tmp_path / "m.bin", _use_new_zipfile_serialization=zipped)
    checkpoint = open_pickle(tmp_path / "m.bin")
    for name, tensor in tensors.items():
        assert torch.equal(checkpoint.read(name), tensor.reshape(-1))
        assert torch.equal(checkpoint.read(name, 1, 3), tensor.reshape(-1)[1:3])
    assert checkpoint.sha256() == hashlib.sha256((tmp_path / "m.bin").read_bytes()).hexdigest()
    checkpoint.close()


def test_a_state_dict_inside_is_found(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": bert()}, tmp_path / "m.pt")
    assert open_pickle(tmp_path / "m.pt").specs.keys() == bert().keys()


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "m.bin").write_bytes(pickle.dumps({"a": Harmful(mark)}))
    torch.save({"a": Harmful(mark)}, tmp_path / "n.bin")
    for name in ("m.bin", "n.bin"):
        with pytest.raises(CheckpointError, match="no pickle of plain tensors"):
            open_pickle(tmp_path / name)
    assert not mark.exists()


REFUSED: dict[str, Any] = {
    "a list": [torch.ones(2)],
    "an empty table": {},
    "a number": {"a": 3},
    "a complex tensor": {"a": torch.ones(2, dtype=torch.complex128)},
    "a sparse tensor": {"a": torch.eye(3).to_sparse()},
    "a tensor of one stored number": {"a": torch.ones(1).expand(1 << 40)},
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    torch.save(REFUSED[case], tmp_path / "m.bin")
    with pytest.raises(CheckpointError):
        open_pickle(tmp_path / "m.bin")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04" + b"\0" * 40, b"\x80\x02."])
def test_a_damaged_pickle_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(data)
    with pytest.raises(CheckpointError):
        open_pickle(tmp_path / "m.bin")
