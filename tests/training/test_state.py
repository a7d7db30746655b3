from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from purify_cli.errors import RunFolderError
from purify_cli.training import train
from purify_cli.training.state import STATE_FILE, fingerprint
from tests.training.helpers import equal, rows, settings, small_model, weights

T = TypeVar("T")


class Killed(Exception):
    """What stands for a kill."""


class KillAfter:
    """A progress that ends the run after so many steps, and remembers what was said."""

    def __init__(self, steps: int | None) -> None:
        self.left = steps
        self.notes: list[str] = []
        self.totals: list[int | None] = []

    def track(self, items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
        del what
        self.totals.append(total)
        for item in items:
            if self.left == 0:
                raise Killed
            self.left = None if self.left is None else self.left - 1
            yield item

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


HOW = settings(epochs=4, weight_decay=0.01, warmup=0.2)
HELD = rows(12, seed=8)


def run(model, folder: Path | None, kill_after: int | None = None, how=HOW):
    progress = KillAfter(kill_after)
    result = train(
        model,
        rows(30),
        how,
        pad_id=0,
        device="cpu",
        validation=HELD,
        resume=folder,
        state_every=3,
        progress=progress,
    )
    return result, progress


@pytest.mark.parametrize("kills", [(4,), (7, 5), (1, 14)], ids=str)
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path, kills: tuple[int, ...]) -> None:
    model = small_model()
    expected, _ = run(model, None)
    for steps in kills:
        with pytest.raises(Killed):
            run(small_model(), tmp_path, steps)
    continued = small_model()
    result, progress = run(continued, tmp_path)
    assert result == expected
    assert equal(weights(continued), weights(model))
    assert any("goes on after step" in note for note in progress.notes)
    assert progress.totals[0] is not None
    assert progress.totals[0] < expected.steps
    assert not list(tmp_path.iterdir())


def test_a_state_of_other_settings_or_weights_is_ignored(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(small_model(), tmp_path, 7)
    state = (tmp_path / STATE_FILE).read_bytes()
    for how, model in ((replace(HOW, seed=9), small_model()), (HOW, small_model(seed=1))):
        (tmp_path / STATE_FILE).write_bytes(state)
        _, progress = run(model, tmp_path, how=how)
        assert not progress.notes
    assert not list(tmp_path.iterdir())


def test_the_state_is_no_pickle_and_holds_plain_tensors(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    with pytest.raises(Killed):
        run(small_model(), tmp_path, 7)
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]
    kinds = {name.partition(".")[0] for name in load_file(tmp_path / STATE_FILE)}
    assert kinds == {"weight", "exp_avg", "exp_avg_sq", "step", "best"}


@pytest.mark.parametrize("content", [b"", b"garbage garbage", (8).to_bytes(8, "little") + b"{}      "])
def test_a_file_that_is_no_state_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE_FILE).write_bytes(content)
    with pytest.raises(RunFolderError, match="cannot be read"):
        run(small_model(), tmp_path)


def test_the_fingerprint_covers_settings_rows_and_weights() -> None:
    base = dict(small_model().named_parameters())
    other = dict(small_model().named_parameters())
    with torch.no_grad():
        other["classifier.bias"][0] += 1
    encoded = rows(4)
    relabelled = [replace(encoded[0], label=1), *encoded[1:]]
    marks = [
        fingerprint(HOW, encoded, None, base),
        fingerprint(replace(HOW, seed=9), encoded, None, base),
        fingerprint(replace(HOW, dtype=torch.bfloat16), encoded, None, base),
        fingerprint(HOW, relabelled, None, base),
        fingerprint(HOW, encoded[:3], encoded[3:], base),
        fingerprint(HOW, encoded, encoded, base),
        fingerprint(HOW, encoded, None, other),
    ]
    assert len(set(marks)) == len(marks)
    assert fingerprint(HOW, list(encoded), None, dict(small_model().named_parameters())) == marks[0]
