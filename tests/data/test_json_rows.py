"""JSON files of every sound layout are read alike."""

import json
from pathlib import Path

import pytest

from purify_cli.data.example import Example
from purify_cli.data.loading import load_examples
from purify_cli.errors import DataError

RECORDS = [{"text": "[a", "label": 1}, {"text": "b,\n}", "label": 0}]
ROWS = [Example("[a", label=1), Example("b,\n}", label=0)]

LAYOUTS = {
    "an object per line": "\n".join(map(json.dumps, RECORDS)),
    "an array on one line": json.dumps(RECORDS),
    "an array over lines": json.dumps(RECORDS, indent=2),
    "an array, an object per line": "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "objects over lines": "\n".join(json.dumps(record, indent=2) for record in RECORDS),
    "objects on one line": " ".join(map(json.dumps, RECORDS)),
    "old line ends": "\r".join(map(json.dumps, RECORDS)),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_every_layout_gives_the_same_rows(tmp_path: Path, layout: str, encoding: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text(f" \n{layout}\n", encoding=encoding, newline="")
    assert load_examples(str(path), num_labels=2) == ROWS


def test_a_malformed_entry_of_an_array_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a", "label": 0}, {"text": "", "label": 0}, 7]')
    with pytest.raises(DataError, match=r"a\.json, row 2: 'text' is empty \(and 1 more malformed row\)"):
        load_examples(str(path))


def test_one_row_may_hold_more_than_text_and_label(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"text": "a", "label": 0, "tags": ["x"], "origin": {"page": 1}}')
    assert load_examples(str(path)) == [Example("a", label=0)]
