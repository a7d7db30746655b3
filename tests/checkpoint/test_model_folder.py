"""A folder above the model: the hub cache's, a trainer's output."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from purify_cli.checkpoint import resolve
from purify_cli.errors import CheckpointError
from tests.checkpoint.shapes import CONFIG, bert, folder

FIRST, SECOND = "a" * 40, "b" * 40


def repository(path: Path, *commits: str, main: str | None = None) -> Path:
    """Lay out ``models--organisation--name`` of the hub cache."""
    for commit in commits:
        snapshot = folder(path / "snapshots" / commit, bert(), config=CONFIG)
        blob = path / "blobs" / commit
        blob.parent.mkdir(exist_ok=True)
        os.replace(snapshot / "model.safetensors", blob)
        (snapshot / "model.safetensors").symlink_to(os.path.relpath(blob, snapshot))
    (path / "refs").mkdir(parents=True)
    if main is not None:
        (path / "refs" / "main").write_text(main)
    return path


def output(path: Path, *steps: int) -> Path:
    """Lay out what a trainer leaves."""
    for step in steps:
        folder(path / f"checkpoint-{step}", bert(), config=CONFIG)
    (path / "training_args.bin").write_bytes(b"x")
    (path / "runs").mkdir()
    return path


ONE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "the only snapshot": (lambda m: repository(m, FIRST), f"snapshots/{FIRST}"),
    "the snapshot of the default branch": (lambda m: repository(m, FIRST, SECOND, main=FIRST), f"snapshots/{FIRST}"),
    "the folder of snapshots": (lambda m: repository(m, FIRST) / "snapshots", FIRST),
    "the only checkpoint": (lambda m: output(m, 500), "checkpoint-500"),
    "the model that was saved at last": (lambda m: folder(output(m, 1, 2), bert(), config=CONFIG), "."),
}
SEVERAL: dict[str, tuple[Callable[[Path], Path], str]] = {
    "two snapshots": (lambda m: repository(m, FIRST, SECOND), f"snapshots/{FIRST}, snapshots/{SECOND}"),
    "a branch that leaves the cache": (lambda m: repository(m, FIRST, SECOND, main="../../x"), f"snapshots/{FIRST}"),
    "a branch that is not there": (lambda m: repository(m, FIRST, SECOND, main="c" * 40), f"snapshots/{SECOND}"),
    "two checkpoints, in order": (lambda m: output(m, 1000, 500), "checkpoint-500, checkpoint-1000"),
    "the cache itself": (lambda m: repository(m / "models--a--b", FIRST).parent, "models--a--b"),
    "models in folders": (lambda m: folder(m / "one", bert()) and folder(m / "two", bert()).parent, "one, two"),
}


@pytest.mark.parametrize("case", ONE)
def test_the_one_model_is_taken(case: str, tmp_path: Path) -> None:
    make, expected = ONE[case]
    given = make(tmp_path / "m")
    files = resolve(str(given))
    assert files.folder == given / expected
    assert files.given == str(given)
    assert files.config


@pytest.mark.parametrize("case", SEVERAL)
def test_several_are_named(case: str, tmp_path: Path) -> None:
    make, named = SEVERAL[case]
    with pytest.raises(CheckpointError, match="holds no weights itself") as caught:
        resolve(str(make(tmp_path / "m")))
    assert named in caught.value.hint


def test_a_snapshot_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path / "elsewhere", bert(), config=CONFIG)
    made = repository(tmp_path / "m")
    (made / "snapshots").mkdir()
    (made / "snapshots" / FIRST).symlink_to(elsewhere)
    with pytest.raises(CheckpointError, match="holds no weights"):
        resolve(str(made))
