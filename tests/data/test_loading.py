"""Every supported layout is read alike, and every malformed row is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from purify_cli.data.columns import KNOWN
from purify_cli.data.example import Example
from purify_cli.data.loading import Columns, load_examples
from purify_cli.errors import DataError, UsageError

NAMES = ("negative", "positive")
ROWS = [
    Example("NA", label=1),
    Example("2024-05-01", label=0),
    Example('say "hello",  twice\u2028here', label=1),
    Example("déjà vu", label=0),
]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def written(path: Path, rows: list[Example]) -> Path:
    """Write rows as another program would."""
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    records = [{"text": row.text, "label": row.label} for row in rows]
    if path.suffix == ".jsonl":
        return jsonl(path, records)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
        return path
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, ["text", "label"])
            writer.writeheader()
            writer.writerows(records)
        else:
            file.write("text\tlabel\n" + "".join(f"{row.text}\t{row.label}\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    assert load_examples(str(written(tmp_path / name, ROWS)), num_labels=2) == ROWS


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a", "label": 0}\r\n\r\n{"text": "b", "label": 1}\r\n')
    assert load_examples(str(path)) == [Example("a", label=0), Example("b", label=1)]


def test_a_csv_text_may_run_over_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"one\ntwo",1\nthree,x\n')
    with pytest.raises(DataError, match=r"line 4: the label 'x'"):
        load_examples(str(path))


@pytest.mark.parametrize("known", KNOWN, ids=str)
def test_known_layouts_are_recognised(tmp_path: Path, known: tuple[str, str | None]) -> None:
    text, pair = known
    row = {"idx": 7, text: "first", "label": 1} | ({pair: "second"} if pair else {})
    assert load_examples(str(jsonl(tmp_path / "a.jsonl", [row]))) == [Example("first", pair and "second", 1)]


def test_other_names_are_taken_as_given(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"review": "good", "reply": "thanks", "stars": 1, "text": "no"}])
    columns = Columns(text="review", pair="reply", label="stars")
    assert load_examples(str(path), columns=columns) == [Example("good", "thanks", 1)]
    with pytest.raises(DataError, match="no column 'reviews'") as caught:
        load_examples(str(path), columns=Columns(text="reviews"))
    assert caught.value.hint == "Did you mean review?"
    with pytest.raises(UsageError, match="second texts"):
        Columns(pair="reply")


@pytest.mark.parametrize(
    ("value", "label"),
    [(1, 1), (1.0, 1), ("1", 1), (" 1.0 ", 1), ("positive", 1), ("Negative", 0)],
)
def test_labels_in_all_their_forms(tmp_path: Path, value: Any, label: int) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": "a", "label": value}])
    assert load_examples(str(path), num_labels=2, label_names=NAMES)[0].label == label


BAD_LINES = {
    b'{"text": "a", "label": 1': "not JSON at column",
    b'["a", 1]': "a JSON list, not an object",
    b"[" * 5000: "nested too deeply",
    b'{"text": "caf\xe9", "label": 1}': "not UTF-8 text at byte 14",
    b'{"label": 1}': "there is no 'text'",
    b'{"text": "", "label": 1}': "'text' is empty",
    b'{"text": " \\t", "label": 1}': "'text' is empty",
    b'{"text": 5, "label": 1}': "'text' is a int, not a text",
    b'{"text": null, "label": 1}': "'text' is missing, not a text",
    b'{"text": "\\ud800", "label": 1}': "half of a surrogate pair at character 1",
    b'{"text": "a"}': "the label is missing",
    b'{"text": "a", "label": null}': "the label is missing",
    b'{"text": "a", "label": ""}': "the label is missing",
    b'{"text": "a", "label": 2}': "the label 2 is out of range, it must be 0 to 1",
    b'{"text": "a", "label": -1}': "the label -1 is out of range",
    b'{"text": "a", "label": 0.5}': "the label 0.5 is not a class number",
    b'{"text": "a", "label": NaN}': "the label nan is not a class number",
    b'{"text": "a", "label": Infinity}': "the label inf is not a class number",
    b'{"text": "a", "label": [1, 0]}': "several classes (multi-label)",
    b'{"text": "a", "label": {"a": 1}}': "the label is not a class number but a dict",
    b'{"text": "a", "label": 0, "label": 1}': "'label' comes twice",
    b'{"text": "a", "label": 1%s}' % (b"0" * 5000): "a number has too many digits",
    b'{"text": "a", "label": 1%s}' % (b"0" * 4000): "the label of more than 38 digits is out of range",
    b'{"text": "%s", "label": 1}' % (b"a" * 1_000_001): "'text' has 1,000,001 characters",
    b'{"text": "a", "label": "positiv"}': "did you mean 'positive'",
    b'{"text": "a", "label": "xyz"}': "names are negative, positive",
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.items(), ids=BAD_LINES.values())
def test_a_malformed_line_is_named_and_the_others_are_counted(tmp_path: Path, line: bytes, message: str) -> None:
    good = b'{"text": "fine", "label": 0}\n'
    path = tmp_path / "a.jsonl"
    path.write_bytes(good + b"\n" + line + b"\n" + good + line + b"\n")
    with pytest.raises(DataError) as caught:
        load_examples(str(path), num_labels=2, label_names=NAMES)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert message in str(caught.value)
    assert str(caught.value).endswith("(and 1 more malformed row)")
    assert caught.value.hint


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.jsonl", b"", "is empty"),
    "blank": ("a.csv", b" \n\n", "is empty"),
    "only a header": ("a.csv", b"text,label\n", "holds no rows"),
    "no text column": ("a.csv", b"words,label\na,1\n", "no column is known to hold a text (columns: 'label', 'words')"),
    "two layouts": ("a.csv", b"text,premise,hypothesis,label\na,b,c,1\n", "more than one column"),
    "no label column": ("a.csv", b"text\na\nb\n", "line 2: the label is missing"),
    "names twice": ("a.csv", b"text,text\na,b\n", "line 1: two columns have one name"),
    "too few fields": ("a.csv", b"text,label\na,1\nb\n", "line 3: 1 fields where line 1 names 2 columns"),
    "too many fields": ("a.tsv", b"text\tlabel\na\t1\t2\n", "line 2: 3 fields"),
    "open quotation": ("a.csv", b'text,label\n"a,1\n', "line 2: "),
    "latin-1": (
        "a.csv",
        b"text,label\na,1\ncaf\xe9,1\n\xff,0\n",
        "line 3: not UTF-8 text at byte 4 of the line (and 1",
    ),
    "cut utf-16": ("a.csv", "text,label\na,1".encode("utf-16")[:-1], "begins as UTF-16 text and is not at byte"),
    "utf-16 without a mark": ("a.csv", "text,label\na,1".encode("utf-16-le"), "there are zero bytes in it"),
    "an array that breaks off": ("a.json", b'[{"text": "a", "label": 0},\n {"text": "b"', "line 2: not JSON at column"),
    "an array without commas": (
        "a.json",
        b'[{"text": "a", "label": 0}\n {"text": "b"}]',
        "line 2: the JSON array breaks",
    ),
    "two arrays": ("a.json", b'[{"text": "a", "label": 0}]\n[1]', "line 2: there is more after a JSON array"),
    "an empty array": ("a.json", b" [ ]\n", "holds no rows"),
    "an array of texts": ("a.json", b'["a", "b"]', "row 1: a JSON str, not an object"),
    "an array twenty thousand deep": ("a.json", b"[" * 20_000, "line 1: nested too deeply"),
    "an object around rows": (
        "a.json",
        b'{"version": "1", "data": [{"text": "a"}, {"text": "b"}]}',
        "'data' holds a list",
    ),
    "columns in an object": ("a.json", b'{"text": {"0": "a"}, "label": {"0": 1}}', "'text' holds an object, not rows"),
    "no named column": ("a.csv", b",,\na,1,\n", "no column has a name"),
    "two labels": ("a.csv", b"text,class,category\na,1,1\n", "more than one column could hold the label"),
    "packed": ("a.csv.gz", b"\x1f\x8b", "the format '.gz' is not known"),
    "plain text": ("a.txt", b"a", "the format '.txt' is not known"),
    "no arrow": ("a.arrow", b"ARROW1 and so on", "is not a readable arrow file"),
    "an empty parquet file": ("a.parquet", b"", "is not a readable parquet file"),
    "no parquet": ("a.parquet", b"PAR1 and so on", "is not a readable parquet file"),
    "other format": ("a.xlsx", b"PK", "the format '.xlsx' is not known"),
    "no suffix": ("data", b"a", "the format 'without a suffix' is not known"),
}


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_an_unusable_file_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_examples(str(path), num_labels=2)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_parquet_rows_are_named_by_number(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", [*ROWS, Example(" ", label=0)])
    with pytest.raises(DataError, match=r"a\.parquet, row 5: 'text' is empty"):
        load_examples(str(path))


def test_local_files_leave_no_trace_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    load_examples(str(written(tmp_path / "a.parquet", ROWS)))
    assert not cache.exists()


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        load_examples(str(tmp_path))
    with pytest.raises(DataError, match="there is no file"):
        load_examples(str(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("failure", "message"),
    [(ConnectionError("down"), "no data set of that name can be had"), (ValueError("Unknown split"), "Unknown split")],
    ids=["offline", "split"],
)
def test_a_hub_data_set_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, failure: Exception, message: str) -> None:
    import datasets

    def load(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(DataError, match=message) as caught:
        load_examples("someone/reviews:small")
    assert "local file" in caught.value.hint


def test_a_hub_data_set_is_asked_for_by_name_configuration_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []

    def load(*given: Any, **settings: Any) -> list[dict[str, Any]]:
        asked.append((given, settings))
        return [{"sentence": "fine", "label": 1}]

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert load_examples("nyu-mll/glue:sst2") == [Example("fine", label=1)]
    assert asked == [(("nyu-mll/glue", "sst2"), {"split": "train"})]


def test_a_pipe_a_device_and_an_impossible_name_are_refused_unopened(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="is a pipe or a device"):
        load_examples(str(tmp_path / "a.jsonl"))
    with pytest.raises(DataError, match="is a pipe or a device"):
        load_examples("/dev/null")
    for name in ("a" * 5000 + ".csv", "a\0.csv"):
        with pytest.raises(DataError, match="cannot be read"):
            load_examples(name)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    jsonl(tmp_path / "a.jsonl", [{"text": "a", "label": 1}])
    assert load_examples("~/a.jsonl") == [Example("a", label=1)]
    with pytest.raises(DataError, match=r"there is no file ~nobody-of-that-name/a\.jsonl"):
        load_examples("~nobody-of-that-name/a.jsonl")


def test_a_file_beyond_the_largest_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(DataError, match=r"has 5\.0 GiB; 4 GiB are the most"):
        load_examples(str(path))


def test_labels_required_none_or_optional(tmp_path: Path) -> None:
    bare = str(jsonl(tmp_path / "bare.jsonl", [{"text": "a"}, {"text": "b", "label": None}]))
    full = str(jsonl(tmp_path / "full.jsonl", [{"text": "a", "label": 0}, {"text": "b", "label": 1}]))
    mixed = str(jsonl(tmp_path / "mixed.jsonl", [{"text": "a", "label": 0}, {"text": "b"}]))
    assert [row.label for row in load_examples(bare, labels="none")] == [None, None]
    assert [row.label for row in load_examples(bare, labels="optional")] == [None, None]
    assert [row.label for row in load_examples(full, labels="optional")] == [0, 1]
    with pytest.raises(DataError, match="line 1: the label is missing"):
        load_examples(bare)
    with pytest.raises(DataError, match="line 1: there is a label in 'label'"):
        load_examples(full, labels="none")
    for labels in ("required", "optional"):
        with pytest.raises(DataError, match="line 2: the label is missing"):
            load_examples(mixed, labels=labels)
    with pytest.raises(DataError, match="line 1: there is a label"):
        load_examples(mixed, labels="none")


def test_nothing_is_said_and_the_libraries_speak_again_afterwards(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import datasets

    before = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    load_examples(str(written(tmp_path / "a.parquet", ROWS)))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and so on")
    with pytest.raises(DataError, match="not a readable parquet file"):
        load_examples(str(tmp_path / "b.parquet"))
    assert capfd.readouterr() == ("", "")
    assert (datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()) == before
