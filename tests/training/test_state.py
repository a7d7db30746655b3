from dataclasses import replace
from pathlib import Path

import pytest
import torch

from purify_cli.errors import RunFolderError
from purify_cli.training import train
from purify_cli.training.state import STATE_FILE, fingerprint
from tests.training.helpers import KillAfter, Killed, equal, rows, settings, small_model, weights

HOW = settings(epochs=4, weight_decay=0.01, warmup=0.2)
HELD = rows(12, seed=8)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purify_cli.training.loop.STATE_EVERY", 3)


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


def test_the_fingerprint_covers_settings_rows_and_the_whole_model() -> None:
    other, frozen, still = small_model(), small_model(), small_model()
    with torch.no_grad():
        other.classifier.bias[0] += 1
        still.bert.pooler.dense.bias[0] += 1
    frozen.bert.pooler.dense.bias.requires_grad = still.bert.pooler.dense.bias.requires_grad = False
    encoded = rows(4)
    relabelled = [replace(encoded[0], label=1), *encoded[1:]]
    marks = [
        fingerprint(HOW, encoded, None, small_model()),
        fingerprint(replace(HOW, seed=9), encoded, None, small_model()),
        fingerprint(replace(HOW, dtype=torch.bfloat16), encoded, None, small_model()),
        fingerprint(HOW, relabelled, None, small_model()),
        fingerprint(HOW, encoded[:3], encoded[3:], small_model()),
        fingerprint(HOW, encoded, encoded, small_model()),
        fingerprint(HOW, encoded, None, other),
        fingerprint(HOW, encoded, None, frozen),
        fingerprint(HOW, encoded, None, still),
        fingerprint(HOW, encoded, None, small_model(hidden_dropout_prob=0.3)),
        fingerprint(HOW, encoded, None, small_model(attention_probs_dropout_prob=0.3)),
    ]
    assert len(set(marks)) == len(marks)
    assert fingerprint(HOW, list(encoded), None, small_model()) == marks[0]
