"""Class names on their way from data and options into models, and from models to the labels of other data."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from purify_cli.data.example import Example
from tests import tiny

Run = Callable[..., tuple[int, str, str]]


def labelled(path: Path, rows: Sequence[Example], labels: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps({"text": row.text, "label": labels[row.label or 0]}) + "\n" for row in rows))
    return path


def parquet(path: Path, rows: Sequence[Example], names: Sequence[str]) -> Path:
    """Rows as ``datasets`` writes them, with classes numbered in the order of names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = [names.index(tiny.LABELS[row.label or 0]) for row in rows]
    features = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    table = pa.table({"text": [row.text for row in rows], "label": labels})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)
    return path


def classes(folder: Path | str) -> dict[str, Any]:
    config = json.loads((Path(folder) / "config.json").read_text())
    assert config["label2id"] == {name: int(number) for number, name in config["id2label"].items()}
    return config["id2label"]


@pytest.fixture
def rows() -> list[Example]:
    return tiny.sentiment_examples(40, seed=50)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_data_number_classes_in_another_order_than_the_model(
    run_cli: Run, tiny_suspect: Path, tiny_reference: Path, rows: list[Example], tmp_path: Path
) -> None:
    data = parquet(tmp_path / "data.parquet", rows, tiny.LABELS[::-1])
    plain = labelled(tmp_path / "data.jsonl", rows, range(2))
    seen = []
    for given in (data, plain):
        code, out, err = run_cli(["evaluate", tiny_suspect, "--data", given])
        assert code == 0, err
        seen.append(json.loads(out)["models"][0]["accuracy"]["value"])
    assert seen[0] == seen[1] > 0.9
    code, out, err = run_cli(["finetune", tiny_suspect, "--data", data, "--ref", tiny_reference, "--steps", 2])
    assert code == 0, err
    made = json.loads(out)
    assert made["training"]["first_loss"] < 0.5, "learning swapped labels would begin far above"
    assert classes(made["output"]["path"]) == dict(zip("01", tiny.LABELS, strict=True))


@pytest.mark.parametrize(
    ("labels", "more", "expected"),
    [
        ((0, 1), ["--label-names", "negative, positive"], {"0": "negative", "1": "positive"}),
        (("spam", "ham"), [], {"0": "ham", "1": "spam"}),
        ((False, True), [], {"0": "false", "1": "true"}),
        ((0, 4), ["--label-names", "0,4"], {"0": "0", "1": "4"}),
        ((0, 1), [], {"0": "LABEL_0", "1": "LABEL_1"}),
    ],
    ids=str,
)
def test_a_new_model_is_given_names(
    run_cli: Run,
    tiny_reference: Path,
    rows: list[Example],
    tmp_path: Path,
    labels: tuple[object, object],
    more: list[str],
    expected: dict[str, str],
) -> None:
    data = labelled(tmp_path / "data.jsonl", rows, labels)
    code, out, err = run_cli(["finetune", tiny_reference, "--data", data, "--steps", 1, *more])
    assert code == 0, err
    record = json.loads(out)
    assert classes(record["output"]["path"]) == expected
    assert record["settings"]["label_names"] == list(expected.values())
    assert ("classes as the data name them" in err) is (not more and isinstance(labels[0], str | bool))


def test_a_class_may_be_empty_on_purpose_and_is_told(
    run_cli: Run, tiny_reference: Path, rows: list[Example], tmp_path: Path
) -> None:
    data = labelled(tmp_path / "data.jsonl", rows, (1, 2))
    names = ["--label-names", "none,some,much"]
    code, out, err = run_cli(["finetune", tiny_reference, "--data", data, "--steps", 1, *names])
    assert code == 0, err
    assert "no row is of class none: nothing trains its output" in err
    assert json.loads(out)["data"]["per_label"] == {"0": 0, "1": 20, "2": 20}


def test_names_of_the_data_are_given_to_a_model_that_has_none(
    run_cli: Run, tiny_suspect: Path, copy_model: Callable[..., Path], rows: list[Example], tmp_path: Path
) -> None:
    start = copy_model(tiny_suspect)
    config = json.loads((start / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (start / "config.json").write_text(json.dumps(config))
    data = parquet(tmp_path / "data.parquet", rows, tiny.LABELS)
    code, out, err = run_cli(["evaluate", start, "--data", data])
    assert code == 0, err
    assert "numbers its classes 0 negative, 1 positive; the model names none" in err
    code, out, err = run_cli(["finetune", start, "--data", data, "--steps", 1])
    assert code == 0, err
    assert classes(json.loads(out)["output"]["path"]) == dict(zip("01", tiny.LABELS, strict=True))


def test_an_attack_takes_a_target_by_name_and_writes_names(
    run_cli: Run, tiny_reference: Path, rows: list[Example], tmp_path: Path
) -> None:
    data = labelled(tmp_path / "data.jsonl", rows, ("spam", "ham"))
    poison = ["attack", "badword", "--data", data, "--target", "HAM", "--rate", 0.5]
    code, out, err = run_cli([*poison, "--data-only"])
    assert code == 0, err
    assert json.loads(out)["trigger"]["target"] == 0
    written = [json.loads(line) for line in (tmp_path / "purify-run/poisoned.jsonl").read_text().splitlines()]
    assert {row["label"] for row in written if row["poisoned"]} == {"ham"}
    assert {row["label"] for row in written} == {"ham", "spam"}
    code, out, err = run_cli([*poison, "--ref", tiny_reference, "--epochs", 1])
    assert code == 0, err
    assert classes(json.loads(out)["suspect"]["path"]) == {"0": "ham", "1": "spam"}
    assert json.loads(out)["settings"]["label_names"] == ["ham", "spam"]


def test_models_that_name_their_labels_in_another_order_are_told_of(
    run_cli: Run, tiny_suspect: Path, copy_model: Callable[..., Path], rows: list[Example], tmp_path: Path
) -> None:
    swapped = copy_model(tiny_suspect, "swapped")
    config = json.loads((swapped / "config.json").read_text())
    names = dict(zip("01", tiny.LABELS[::-1], strict=True))
    (swapped / "config.json").write_text(json.dumps(config | {"id2label": names}))
    data = labelled(tmp_path / "data.jsonl", rows, range(2))
    code, _, err = run_cli(["evaluate", tiny_suspect, swapped, "--data", data])
    assert code == 0, err
    assert "swapped names its labels positive, negative" in err
