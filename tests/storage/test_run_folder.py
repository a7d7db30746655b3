"""Records in a run folder: written whole, read back equal, refused where they are something else."""

import json
from pathlib import Path
from typing import Any

import pytest

from purify_cli.comparison.table import LabelTrigger, ModelMeasurement
from purify_cli.errors import RunFolderError, StorageError
from purify_cli.inputs.identity import DataFacts, ModelFacts
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.measures.intervals import Proportion
from purify_cli.records.attack import AttackRecord
from purify_cli.records.evaluation import Evaluation
from purify_cli.records.kinds import RECORDS
from purify_cli.storage.record_files import FILES, dump, find_record, parse_record, save_record

STRANGE = "caf\N{LATIN SMALL LETTER E WITH ACUTE} \x1b[31m\x00 \u202e <b> [red] \N{SNOWMAN}"


def evaluation(run: Path, text: str = "cf") -> Evaluation:
    share = Proportion(successes=1, total=2, value=0.5, low=0.1, high=0.9)
    facts = ModelFacts(path=text, sha256="s")
    one = ModelMeasurement(
        name=text, model=facts, accuracy=share, attack_success=share, target_rate=None, trigger_lost=0
    )
    return Evaluation(
        versions={},
        seed=0,
        run=str(run),
        settings={},
        data=DataFacts(path="d", sha256="h", rows=2, per_label={"0": 1, "1": 1}),
        trigger=LabelTrigger(text=text, position="start", target=1),
        models=[one],
    )


@pytest.mark.parametrize("text", ["cf", STRANGE])
def test_a_record_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    run, record = RunFolder(tmp_path / "a" / "b"), evaluation(tmp_path, text)
    save_record(run, record)
    assert find_record(run, Evaluation) == record
    assert parse_record(dump(record), "here") == record
    assert (run.path / "evaluation.json").read_bytes() == dump(record).encode()
    assert [path.name for path in run.path.iterdir()] == ["evaluation.json"]


def test_every_kind_has_its_own_file() -> None:
    assert sorted(FILES.values()) == sorted(f"{kind}.json" for kind in RECORDS)
    for kind, record in RECORDS.items():
        assert record.model_fields["kind"].default == kind


def test_nothing_there_is_none_and_creates_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "none")
    assert find_record(run, Evaluation) is None
    assert not run.path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        '"x"',
        "{}",
        '{"kind": null}',
        '{"kind": ["evaluation"]}',
        '{"kind": "evaluations"}',
        '{"kind": "evaluation"}',
        "1" * 5000,
    ],
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(RunFolderError, match="here is not a record"):
        parse_record(text, "here")


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"surprise": 1},
        {"seed": "zero"},
        {"models": [{"name": "m"}]},
        {"data": {"path": "d", "sha256": "h", "rows": 2, "per_label": {}, "surprise": 1}},
        {"trigger": {"text": "cf", "position": "middle", "target": 1}},
    ],
)
def test_unknown_versions_keys_and_values_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    document = json.loads(dump(evaluation(tmp_path))) | change
    with pytest.raises(RunFolderError):
        parse_record(json.dumps(document), "here")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_shares_that_are_no_number_are_refused(tmp_path: Path, value: str) -> None:
    text = dump(evaluation(tmp_path)).replace('"value": 0.5', f'"value": {value}')
    assert value in text
    with pytest.raises(RunFolderError):
        parse_record(text, "here")


def test_a_record_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "attack.json").write_text(dump(evaluation(tmp_path)))
    with pytest.raises(RunFolderError, match="another kind"):
        find_record(RunFolder(tmp_path), AttackRecord)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "attack.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RunFolderError, match="cannot be read"):
        find_record(RunFolder(tmp_path), AttackRecord)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    run = RunFolder(tmp_path / "file")
    with pytest.raises(RunFolderError):
        find_record(run, Evaluation)
    with pytest.raises(StorageError):
        save_record(run, evaluation(tmp_path))
    assert run.path.read_text() == "mine"


def test_the_log_tells_how_a_command_ended(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.logged("nothing", {}):
        pass
    assert not run.path.exists(), "a command that wrote nothing leaves nothing"
    run.create()
    with run.logged("good", {"a": 1}):
        pass

    def fail() -> None:
        with run.logged("bad", {}):
            raise StorageError("full", hint="Free some.")

    with pytest.raises(StorageError):
        fail()
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    assert [(line["command"], line["outcome"]) for line in lines] == [("good", "done"), ("bad", "failed")]
