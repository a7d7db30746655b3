"""Where a command's models come from: argument before standard input before run folder."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from purify_cli.comparison.table import LabelTrigger
from purify_cli.errors import RunFolderError, UsageError
from purify_cli.evidence.verdict import Verdict
from purify_cli.inputs.identity import DataFacts, ModelFacts
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.measures.intervals import Proportion
from purify_cli.purification.stages import ResetCounts
from purify_cli.purification.verification import UtilityChange
from purify_cli.records.attack import AttackRecord
from purify_cli.records.base import Record, TrainingFacts
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification
from purify_cli.storage.origin import DETECTABLE, EVALUABLE, PURIFIABLE, find_origin
from purify_cli.storage.record_files import dump, save_record

DATA = DataFacts(path="/d.jsonl", sha256="d", rows=2, per_label={"0": 1, "1": 1})
TRAINING = TrainingFacts(settings={}, steps=1, first_loss=1.0, last_loss=0.5, stopped_early=False)
SHARE = Proportion(successes=1, total=2, value=0.5, low=0.1, high=0.9)


def model(name: str) -> ModelFacts:
    return ModelFacts(path=f"/{name}", sha256=name)


def attack(run: Path, suspect: str = "attacked") -> AttackRecord:
    return AttackRecord(
        versions={},
        seed=0,
        run=str(run),
        settings={},
        attack="badword",
        reference=model("reference-of-attack"),
        data=DATA,
        trigger=LabelTrigger(text="cf", position="random", target=1),
        rate=0.3,
        label_mode="dirty",
        rows=2,
        poisoned=1,
        relabelled=1,
        natural=0,
        suspect=model(suspect),
        training_data=None,
        training=TRAINING,
        measurement=None,
    )


def finetune(run: Path) -> FinetuneRecord:
    return FinetuneRecord(
        versions={},
        seed=0,
        run=str(run),
        settings={},
        start=model("start"),
        reference=model("reference-of-finetune"),
        data=DATA,
        training=TRAINING,
        output=model("tuned"),
    )


def purification(run: Path) -> Purification:
    return Purification(
        versions={},
        seed=0,
        run=str(run),
        settings={},
        suspect=model("purified-suspect"),
        reference=model("reference-of-purification"),
        data=DATA,
        method="fine-purifying",
        indicator="drift-curvature",
        curvature=None,
        reset=ResetCounts(ratio=0.1, dimensions=10, reset=1, changed=1, beyond_ratio=0, per_tensor={"w": 1}),
        mask=None,
        training=TRAINING,
        utility=UtilityChange(
            measured_on="held-back clean samples", before=SHARE, after=SHARE, max_drop=0.1, within_budget=True
        ),
        output=model("purified"),
        verdict=Verdict(level="incomplete", reasons=["a"], not_measured=["b"]),
    )


def test_an_argument_is_the_only_thing_looked_at(tmp_path: Path) -> None:
    (tmp_path / "detection.json").write_text("not even JSON")
    origin = find_origin("suspect", None, tmp_path, "neither is this")
    assert (origin.record, origin.suspect, origin.reference) == (None, ModelFacts(path="suspect", sha256=""), None)
    assert origin.run.path == tmp_path


def test_a_piped_record_comes_before_the_run_folder_and_names_it(tmp_path: Path) -> None:
    elsewhere = RunFolder(tmp_path / "elsewhere")
    save_record(elsewhere, attack(elsewhere.path))
    save_record(RunFolder(tmp_path), finetune(tmp_path))
    origin = find_origin(None, None, None, dump(attack(elsewhere.path)))
    assert (origin.run, origin.moved) == (elsewhere, None)
    assert origin.suspect == model("attacked")


@pytest.mark.parametrize("there", ["nothing", "another record", "no record"])
def test_a_piped_record_does_not_send_the_output_to_a_folder_that_does_not_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = RunFolder(tmp_path / "elsewhere")
    if there == "another record":
        save_record(elsewhere, attack(elsewhere.path, "other"))
    elif there == "no record":
        elsewhere.create()
        (elsewhere.path / "attack.json").write_text("[")
    origin = find_origin(None, None, None, dump(attack(elsewhere.path)))
    assert origin.run.path == tmp_path / "purify-run"
    assert origin.moved == elsewhere.path
    assert origin.suspect == model("attacked")
    assert elsewhere.path.exists() == (there != "nothing"), "looking creates nothing"


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "a" * 5000, "a/" * 3000])
@pytest.mark.parametrize("key", ["run", "suspect", "reference"])
def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path, key: str, path: str) -> None:
    document = json.loads(dump(attack(tmp_path)))
    document |= {key: path if key == "run" else {"path": path, "sha256": ""}}
    with pytest.raises(RunFolderError):
        find_origin(None, None, None, json.dumps(document))
    (tmp_path / "attack.json").write_text(json.dumps(document))
    with pytest.raises(RunFolderError):
        find_origin(None, None, tmp_path, None)


@pytest.mark.parametrize("kind", ["fifo", "folder", "long", "deep"])
def test_what_is_no_file_of_a_record_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "detection.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        monkeypatch.setattr("purify_cli.storage.record_files.LONGEST", 200_000)
        path.write_text("[" * (100_000 if kind == "deep" else 300_000))
    with pytest.raises(RunFolderError):
        find_origin(None, None, tmp_path, None)


@pytest.mark.parametrize("piped", [None, "", " \n\t"])
def test_empty_input_is_no_record(tmp_path: Path, piped: str | None) -> None:
    save_record(RunFolder(tmp_path), attack(tmp_path))
    assert find_origin(None, None, tmp_path, piped).suspect == model("attacked")


def test_a_contradicting_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--run"):
        find_origin(None, None, tmp_path / "other", dump(attack(tmp_path)))
    assert find_origin(None, None, tmp_path, dump(attack(tmp_path))).run.path == tmp_path


def test_the_given_reference_overrides_the_records(tmp_path: Path) -> None:
    text = dump(attack(tmp_path))
    assert find_origin(None, None, None, text).reference == model("reference-of-attack")
    assert find_origin(None, "mine", None, text).reference == ModelFacts(path="mine", sha256="")


@pytest.mark.parametrize(
    ("kinds", "expected"), [(DETECTABLE, "attacked"), (PURIFIABLE, "attacked"), (EVALUABLE, "purified-suspect")]
)
def test_the_most_telling_record_of_a_folder_wins(
    tmp_path: Path, kinds: tuple[type[Record], ...], expected: str
) -> None:
    records: Sequence[Record] = (finetune(tmp_path), attack(tmp_path), purification(tmp_path))
    for record in records:
        save_record(RunFolder(tmp_path), record)
    origin = find_origin(None, None, tmp_path, None, kinds=kinds)
    assert origin.suspect == model(expected)


def test_a_purification_is_no_suspect_for_detect(tmp_path: Path) -> None:
    save_record(RunFolder(tmp_path), purification(tmp_path))
    with pytest.raises(RunFolderError, match="names none"):
        find_origin(None, None, tmp_path, None, kinds=DETECTABLE)


def test_an_empty_place_is_a_refusal_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no model was given") as caught:
        find_origin(None, None, tmp_path / "none", None)
    assert "purify detect" in caught.value.hint
    assert not (tmp_path / "none").exists()


def test_an_attack_record_holds_a_trigger_of_its_own_task(tmp_path: Path) -> None:
    document = attack(tmp_path).model_dump(mode="json")
    assert AttackRecord.model_validate(document) == attack(tmp_path)
    with pytest.raises(ValueError, match="none of a causal model"):
        AttackRecord.model_validate(document | {"task": "causal"})
