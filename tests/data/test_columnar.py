"""Parquet and Arrow files: class names that they bring along, and what a small file may unpack into."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purify_cli.data.example import Example
from purify_cli.data.loading import load_examples
from purify_cli.errors import DataError


def declared(path: Path, names: list[str], labels: list[int]) -> str:
    """A file as ``datasets`` writes it, with a text per row that tells its label by name."""
    import datasets

    kinds = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    columns = {"text": [names[label] if label >= 0 else "none" for label in labels], "label": labels}
    table = datasets.Dataset.from_dict(columns, features=kinds)
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.data.schema) as writer:
            writer.write_table(table.data.table)
    return str(path)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize(
    ("names", "model"),
    [
        (["positive", "negative"], ("negative", "positive")),
        (["pos", "neg"], ("NEGATIVE", "POSITIVE")),
        (["not_duplicate", "duplicate"], ("Duplicate", "Not duplicate")),
        (["Sci/Tech", "World", "Sports"], ("world", "sport", "sci tech")),
    ],
    ids=str,
)
def test_labels_are_matched_by_name(tmp_path: Path, name: str, names: list[str], model: tuple[str, ...]) -> None:
    from purify_cli.data.class_names import place_of

    given = declared(tmp_path / name, names, list(range(len(names))))
    rows = load_examples(given, num_labels=len(model), label_names=model)
    assert [row.label for row in rows] == [place_of(text, model) for text in names]
    assert None not in [row.label for row in rows]


@pytest.mark.parametrize(
    ("names", "model", "labels"),
    [
        (["positive", "negative"], ("LABEL_0", "LABEL_1"), [0, 1]),
        (["positive", "negative"], None, [0, 1]),
        (["0", "1"], ("negative", "positive"), [0, 1]),
        (["LABEL_0", "LABEL_1"], ("negative", "positive"), [0, 1]),
        (["1", "2"], ("negative", "positive"), [0, 1]),
        (["1", "0"], ("negative", "positive"), [1, 0]),
        ([str(n) for n in sorted(range(11), key=str)], None, sorted(range(11), key=str)),
    ],
    ids=str,
)
def test_numbers_stand_for_themselves_where_one_side_has_no_names(
    tmp_path: Path, names: list[str], model: tuple[str, ...] | None, labels: list[int]
) -> None:
    given = declared(tmp_path / "a.parquet", names, list(range(len(names))))
    assert [row.label for row in load_examples(given, label_names=model)] == labels


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (["toxic", "fine"], [0, 1], "names its classes toxic, fine, the model negative, positive: toxic, fine cannot"),
        (["positive", "negative", "neutral"], [0, 1, 2], "neutral cannot be matched"),
        (["pos", "positive"], [0, 1], "two of them would be one class"),
        (["3", "2"], [0, 1], "names its classes 3, 2, which are numbers in another order"),
        (["positive", "negative"], [0, -1], r"row 2: the label is missing \(-1\)"),
    ],
    ids=str,
)
def test_names_that_cannot_be_matched_are_refused(
    tmp_path: Path, names: list[str], labels: list[int], message: str
) -> None:
    given = declared(tmp_path / "a.parquet", names, labels)
    with pytest.raises(DataError, match=message):
        load_examples(given, num_labels=2, label_names=("negative", "positive"))


def test_a_class_without_rows_needs_no_match(tmp_path: Path) -> None:
    given = declared(tmp_path / "a.parquet", ["positive", "negative", "neutral"], [0, 1])
    assert [row.label for row in load_examples(given, label_names=("negative", "positive"))] == [1, 0]


def test_names_of_the_hub_are_matched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    kinds = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])})
    table = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=kinds)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table)
    assert [row.label for row in load_examples("someone/x", label_names=("negative", "positive"))] == [1, 0]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["no", "yes"]).dictionary_encode(),
        pa.array([False, True]),
        pa.array([0.0, 1.0]),
        pa.array([0, 1], pa.uint8()),
        pa.array([0, 1]).cast(pa.decimal128(20, 0)),
    ],
    ids=lambda column: str(column.type)[:12],
)
def test_label_columns_of_every_type(tmp_path: Path, column: Any) -> None:
    far = pa.array([-(2**62), 2**62], pa.timestamp("us"))  # dates that Python does not know
    pq.write_table(pa.table({"text": ["a", "b"], "label": column, "made": far}), tmp_path / "a.parquet")
    rows = load_examples(str(tmp_path / "a.parquet"), num_labels=2, label_names=("no", "yes"))
    assert rows == [Example("a", label=0), Example("b", label=1)]


def test_what_unpacks_into_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), pa.array(["a" * 200_000]))
    pq.write_table(pa.table({"text": text, "label": [0] * 3000}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 1_000_000
    with pytest.raises(DataError, match="unpacks into more than 100 times its size"):
        load_examples(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    "metadata", [b"{", b"[]", b'{"info": 3}', b'{"info": {"features": {"label": {"names": [7]}}}}']
)
def test_broken_metadata_names_nothing(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"text": ["a"], "label": [1]}).replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert load_examples(str(tmp_path / "a.parquet"), label_names=("no", "yes")) == [Example("a", label=1)]
