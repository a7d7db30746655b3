"""Tables as spreadsheets and other programs write them give the rows that they hold."""

import csv
from pathlib import Path

import pytest

from purify_cli.data.example import Example
from purify_cli.data.loading import Columns, load_examples
from purify_cli.errors import DataError

ROWS = [Example("fine, thanks", label=1), Example('so "so"\nla la', label=0)]

TABLES = {
    "semicolons": 'text;label\nfine, thanks;1\n"so ""so""\nla la";0\n',
    "tabs in a csv file": 'text\tlabel\nfine, thanks\t1\n"so ""so""\nla la"\t0\n',
    "bars": 'text|label\nfine, thanks|1\n"so ""so""\nla la"|0\n',
    "a note on the separator": 'sep=;\ntext;label\nfine, thanks;1\n"so ""so""\nla la";0\n',
    "unnamed columns at the end": 'text,label,,,\n"fine, thanks",1,,,\n"so ""so""\nla la",0,more,,\n',
    "an unnamed index": ',text,label\n0,"fine, thanks",1\n1,"so ""so""\nla la",0\n',
    "empty fields at the end": 'text,label\n"fine, thanks",1,,\n"so ""so""\nla la",0,,\n',
    "lines without the unnamed columns": 'text,label,,\n"fine, thanks",1\n"so ""so""\nla la",0,\n',
    "semicolons without the unnamed columns": 'text;label;;\nfine, thanks;1\n"so ""so""\nla la";0;\n',
    "empty lines": '\n\ntext,label\n\n"fine, thanks",1\n,\n"so ""so""\nla la",0\n , \n',
    "names in another case": ' Text ,LABEL\n"fine, thanks",1\n"so ""so""\nla la",0\n',
    "another name of the label": 'review,sentiment\n"fine, thanks",1\n"so ""so""\nla la",0\n',
    "names of labels in the plural": 'content,labels,class\n"fine, thanks",1,x\n"so ""so""\nla la",0,y\n',
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_tables_of_all_kinds_hold_the_same_rows(tmp_path: Path, table: str, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(table, encoding=encoding, newline="")
    assert load_examples(str(path), num_labels=2) == ROWS
    assert csv.field_size_limit() == 131_072


def test_a_tsv_file_has_no_quotation_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"so; so\t1\n')
    assert load_examples(str(path)) == [Example('"so; so', label=1)]


def test_windows_and_old_line_ends_are_read(tmp_path: Path) -> None:
    for end in ("\r\n", "\r"):
        path = tmp_path / "a.csv"
        path.write_text(f"text,label{end}a,1{end}b,0{end}", newline="")
        assert load_examples(str(path)) == [Example("a", label=1), Example("b", label=0)]


def test_a_field_may_be_longer_than_the_parsers_own_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\n{'long ' * 40_000},1\n")
    assert len(load_examples(str(path))[0].text) == 200_000


def test_columns_that_are_named_by_the_user_are_read_beside_unnamed_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("v1,v2,,,\nham,see you,,,\nspam,win,,,\n")
    rows = load_examples(str(path), label_names=("spam", "ham"), num_labels=2, columns=Columns("v2", None, "v1"))
    assert rows == [Example("see you", label=1), Example("win", label=0)]


def test_many_unnamed_columns_cost_nothing_per_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label" + "," * 100_000 + "\n" + "a,1\n" * 100_000)
    assert len(load_examples(str(path))) == 100_000


def test_a_line_that_lacks_a_named_column_or_has_more_than_there_are_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for line in ("a,1", "a,1,x,y"):
        path.write_text(f"text,,label\n{line}\n")
        with pytest.raises(DataError, match=r"line 2: \d fields where line 1 names 3 columns"):
            load_examples(str(path))
