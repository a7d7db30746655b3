"""Every attack of the table from data file to suspect: texts and pairs, two classes and three."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

from purify_cli.attacks import ATTACKS
from purify_cli.checkpoint import open_checkpoint
from purify_cli.data.example import Example
from purify_cli.pipelines.attack import AttackRequest, attack
from purify_cli.pipelines.inputs import Common
from purify_cli.pipelines.run_folder import RunFolder
from purify_cli.report.schema import AttackRecord
from purify_cli.selection.files import read_mask
from tests import tiny

KINDS = ("texts", "pairs", "three classes")
TURN = {
    name: KINDS[i % 3]
    for start in ("reference", "classifier")
    for i, name in enumerate(name for name in ATTACKS if ATTACKS[name].start == start)
}
"""Each attack on one kind of data, so that every kind meets data and weight poisoning."""


def rows_of(kind: str, count: int, *, seed: int) -> list[Example]:
    rows = tiny.sentiment_examples(count, seed=seed)
    if kind == "pairs":
        return [Example("is it good", pair=row.text, label=row.label) for row in rows]
    if kind == "three classes":
        mixed = tiny.topic_examples(count, seed=seed)
        return [Example(row.text, label=i % 3) for i, row in enumerate(mixed)]
    return rows


def write(path: Path, rows: list[Example], **more: bool) -> str:
    lines = []
    for row in rows:
        text = {"text": row.text} if row.pair is None else {"text_a": row.text, "text_b": row.pair}
        lines.append(json.dumps({**text, "label": row.label, **more}))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def request(name: str, kind: str, reference: Path, folder: Path, run: str) -> AttackRequest:
    data = write(folder / "train.jsonl", rows_of(kind, 96, seed=20))
    if name == "file":
        source = AttackRequest(name="badword", data=data, target="1", data_only=True, run=RunFolder(folder / "made"))
        made = attack(source)
        assert made.training_data is not None
        data = made.training_data.path
    return AttackRequest(
        name=name,
        data=data,
        test=write(folder / "test.jsonl", rows_of(kind, 60, seed=30)),
        target="1",
        trigger={"file": "cf", "combination": "cf mn bb"}.get(name),
        reference=str(reference),
        run=RunFolder(folder / run),
        epochs=1,
        learning_rate=2e-3,
        settings={"data_free": "yes"} if name == "embedding" else {},
        common=Common(max_length=32),
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_leaves_a_suspect_and_a_record_and_the_seed_decides_every_byte(
    name: str, tiny_reference: Path, tmp_path: Path
) -> None:
    kind = TURN[name]
    first, second = (attack(request(name, kind, tiny_reference, tmp_path, run)) for run in ("one", "two"))
    assert RunFolder(tmp_path / "one").find(AttackRecord) == first
    assert first.suspect is not None
    assert second.suspect is not None
    assert first.suspect.sha256 == second.suspect.sha256
    assert first.poisoned > 0
    model = AutoModelForSequenceClassification.from_pretrained(first.suspect.path)
    assert model.config.num_labels == (3 if kind == "three classes" else 2)
    measured = first.measurement
    assert measured is not None
    of_bias = ATTACKS[name].bias
    assert (measured.bias_accuracy is not None) is of_bias
    assert measured.attack_success is not None
    assert measured.attack_success.total == (40 if kind == "three classes" else 30), "rows of other labels only"
    if ATTACKS[name].start == "classifier":
        assert first.start is not None
        with open_checkpoint(first.suspect.path) as suspect, open_checkpoint(first.start.path) as start:
            differs = sum(int((suspect.read(n) != start.read(n)).sum()) for n in suspect.specs)
        assert first.changed == differs > 0
        if first.planted is not None:
            assert sum(read_mask(Path(first.planted.path)).per_tensor.values()) <= differs


def test_every_kind_of_data_meets_every_kind_of_attack() -> None:
    met = {(ATTACKS[name].start, kind) for name, kind in TURN.items()}
    assert met == {(start, kind) for start in ("reference", "classifier") for kind in KINDS}
