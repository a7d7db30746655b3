"""Every attack of the table from the command line to a suspect on the disk, on each kind of text in turn."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from purify_cli.attacks import ATTACKS
from purify_cli.data.example import Example
from purify_cli.selection.files import read_mask
from tests import tiny

Run = Callable[..., tuple[int, str, str]]

KINDS = ("single texts", "pairs of texts", "three classes")
ROTATION = {
    name: KINDS[place % len(KINDS)]
    for start in ("reference", "classifier")
    for place, name in enumerate(name for name in ATTACKS if ATTACKS[name].start == start)
}
"""Attack → the kind that it is tried on; each kind meets attacks of either start."""

FEW = 0.05


def examples(kind: str, count: int, seed: int) -> list[Example]:
    if kind == "three classes":
        return [row for row in tiny.topic_examples(count * 2, seed=seed) if row.label != 3][:count]
    rows = tiny.sentiment_examples(count, seed=seed)
    if kind == "single texts":
        return rows
    topics = tiny.topic_examples(count, seed=seed)
    return [replace(row, text=topic.text, pair=row.text) for row, topic in zip(rows, topics, strict=True)]


def write(path: Path, rows: list[Example]) -> Path:
    columns = [{"text": row.text} if row.pair is None else {"text_a": row.text, "text_b": row.pair} for row in rows]
    lines = (json.dumps({**texts, "label": row.label}) + "\n" for texts, row in zip(columns, rows, strict=True))
    path.write_text("".join(lines))
    return path


@pytest.fixture
def attack(run_cli: Run, tmp_path: Path, tiny_reference: Path) -> Callable[..., dict[str, Any]]:
    """Run an attack on 64 rows of a kind for one epoch; return its record."""

    def attacked(name: str, kind: str, *more: object, run: str, data: Path | None = None) -> dict[str, Any]:
        train, test = (
            write(tmp_path / f"{seed}.jsonl", examples(kind, count, seed)) for count, seed in ((64, 20), (24, 30))
        )
        poison = ["attack", name, "--data", data or train, "--target", 1, "--run", tmp_path / run, "--device", "cpu"]
        plant = [] if "--data-only" in more else ["--ref", tiny_reference, "--test", test, "--epochs", 1]
        code, out, err = run_cli([*poison, *plant, *more])
        assert code == 0, err
        assert json.loads((tmp_path / run / "attack.json").read_text()) == json.loads(out)
        return json.loads(out)

    return attacked


@pytest.mark.parametrize(("name", "kind"), ROTATION.items())
def test_every_attack_leaves_a_suspect_that_its_record_describes(
    attack: Callable[..., dict[str, Any]], name: str, kind: str, tmp_path: Path, tiny_clean: Path
) -> None:
    more: list[object] = ["--model", tiny_clean] if kind == "single texts" else []
    if name == "embedding":
        more += ["--set", "data_free=true"]
    data = None
    if name == "file":
        attack("badword", kind, "--data-only", run="rows")
        more, data = [*more, "--trigger", "cf"], tmp_path / "rows/poisoned.jsonl"
    record, again = (attack(name, kind, *more, run=run, data=data) for run in ("first", "again"))

    first, second = (tmp_path / run / "suspect/model.safetensors" for run in ("first", "again"))
    assert first.read_bytes() == second.read_bytes()
    assert record["suspect"]["sha256"] == again["suspect"]["sha256"]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "first/suspect")
    assert model.config.num_labels == (3 if kind == "three classes" else 2)
    assert 0 < record["poisoned"] < record["rows"]
    assert record["training"]["steps"] > 0
    measured = record["measurement"]
    assert measured["accuracy"]["total"] == 24
    assert measured["trigger_lost"] == 0
    # A backdoor is asked on rows of other labels, a bias on rows of all.
    assert measured["attack_success"]["total"] == sum(row.label != 1 for row in examples(kind, 24, 30))
    assert (measured["bias_accuracy"] or {}).get("total") == (24 if ATTACKS[name].bias else None)
    assert (record["start"] is None) is (kind != "single texts" and ATTACKS[name].start == "reference")
    if record["start"] is not None:
        check_footprint(record, load_file(Path(record["start"]["path"]) / "model.safetensors"), load_file(first))


def check_footprint(record: dict[str, Any], before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> None:
    """The record counts and marks just the entries that differ between start and suspect."""
    differs = {name: (before[name] != after[name]).flatten() for name in after}
    assert record["changed"] == sum(int(one.sum()) for one in differs.values()) > 0
    # All but the head has a counterpart in the reference.
    shared = {name: one for name, one in differs.items() if not name.startswith("classifier.")}
    assert record["dimensions"] == sum(len(one) for one in shared.values())
    count = sum(int(one.sum()) for one in shared.values())
    assert (record["planted"] is None) is (count > FEW * record["dimensions"])
    if record["planted"] is not None:
        mask = read_mask(Path(record["planted"]["path"]))
        assert mask.count == count
        assert set(mask.bits) == set(shared)
        for name, one in shared.items():
            bits = np.unpackbits(mask.bits[name].numpy(), count=len(one), bitorder="little")
            assert bits.astype(bool).tolist() == one.tolist(), name


def test_rows_from_a_file_give_the_very_suspect_of_the_attack_that_wrote_them(
    attack: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    written = attack("badsent", "pairs of texts", "--data-only", run="rows")
    given = attack("file", "pairs of texts", run="file", data=tmp_path / "rows/poisoned.jsonl")
    made = attack("badsent", "pairs of texts", run="made")
    assert given["poisoned"] == written["poisoned"] == made["poisoned"]
    assert given["suspect"]["sha256"] == made["suspect"]["sha256"]
    assert given["measurement"]["attack_success"] is None, "nothing says what the trigger is"
