"""Labels in all their spellings, and what the rows say about the classes of a new head."""

import json
from pathlib import Path
from typing import Any

import pytest

from purify_cli.data.class_names import checked_names, place_of
from purify_cli.data.loading import load_examples, load_training
from purify_cli.errors import DataError, UsageError

STARS = ("1", "2", "3", "4", "5")


def labelled(folder: Path, labels: list[Any]) -> str:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "a", "label": label}) + "\n" for label in labels))
    return str(path)


@pytest.mark.parametrize(
    ("labels", "names", "read"),
    [
        ([True, False], ("negative", "positive"), [1, 0]),
        (["TRUE", "false"], ("LABEL_0", "LABEL_1"), [1, 0]),
        ([True, "False"], ("true", "false"), [0, 1]),
        (["Ham", "SPAM "], ("spam", "ham"), [1, 0]),
        (["pos", "Neg"], ("NEGATIVE", "POSITIVE"), [1, 0]),
        (["LABEL_1", "label_0"], ("negative", "positive"), [1, 0]),
        (["c++", "c"], ("C", "C++"), [1, 0]),
        ([1, 5, "3"], STARS, [0, 4, 2]),
        (["1", "5"], STARS, [0, 4]),
        ([0, 4, "1"], STARS, [0, 4, 1]),
        ([-1, 1.0, 0], ("-1", "0", "1"), [0, 2, 1]),
        (["LABEL_1", "LABEL_2"], STARS, [1, 2]),
    ],
    ids=str,
)
def test_labels_in_the_spellings_of_users(
    tmp_path: Path, labels: list[Any], names: tuple[str, ...], read: list[int]
) -> None:
    rows = load_examples(labelled(tmp_path, labels), num_labels=len(names), label_names=names)
    assert [row.label for row in rows] == read


@pytest.mark.parametrize("labels", [[1, 2], ["1", "2"], ["1", 1.0]], ids=str)
def test_numbers_that_are_names_of_other_classes_are_not_guessed(tmp_path: Path, labels: list[Any]) -> None:
    with pytest.raises(DataError, match="can be meant as numbers of classes, from 0, or as their names") as caught:
        load_examples(labelled(tmp_path, labels), num_labels=5, label_names=STARS)
    assert "LABEL_1" in caught.value.hint


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (True, "the label True is not a class number"),
        (1.5, "values to predict"),
        ("1_0", "the label '1_0' is not a class number or name"),
        ("1" * 50, "is not a class number or name"),
        ("x" * 10_000, r"the label 'x{39}…"),
        (10**30, "is out of range, it must be 0 to 2"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_label_of_three_classes(tmp_path: Path, label: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_examples(labelled(tmp_path, [label]), num_labels=3, label_names=("a", "b", "c"))
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "names", "made", "read"),
    [
        (["spam", "ham", "Spam"], None, ("ham", "spam"), [1, 0, 1]),
        ([True, False], None, ("false", "true"), [1, 0]),
        ([1, 0.0, "1"], None, ("LABEL_0", "LABEL_1"), [1, 0, 1]),
        ([1, 0], ["negative", " positive"], ("negative", "positive"), [1, 0]),
        (["b", "a"], ["b", "a", "c"], ("b", "a", "c"), [0, 1]),
        ([1, 2], ["none", "one", "two"], ("none", "one", "two"), [1, 2]),
        ([1, 2], ["1", "2"], ("1", "2"), [0, 1]),
        ([0, 4], ["0", "4"], ("0", "4"), [0, 1]),
    ],
    ids=str,
)
def test_the_rows_name_the_classes_of_a_new_head(
    tmp_path: Path, labels: list[Any], names: list[str] | None, made: tuple[str, ...], read: list[int]
) -> None:
    rows, classes = load_training(labelled(tmp_path, labels), label_names=names)
    assert classes == made
    assert [row.label for row in rows] == read


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2], "labels are 1 and 2, so class 0 will be empty"),
        ([0, 4], "labels are 0 and 4, so classes 1 to 3 will be empty"),
        ([0, 10**9], "so classes 1 to 999999999 will be empty"),
        ([0, 10**30], r"line 2: the label 10{30} is out of range"),
        ([0, 0], "only class 0 occurs"),
        (["a", "a"], "only class 0 occurs"),
        (["a", 1], "line 1: the label 'a' is not a class number or name"),
        (["a", "0.5"], "line 1: the label 'a' is not a class number or name"),
        ([[0, 1], [1, 0]], "multi-label"),
        ([f"id {number}" for number in range(11)], "each of 11 rows has a label of its own, beginning with 'id 0'"),
        ([*range(10_001)], "has 10,001 classes; 10,000 are the most"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_head_with_outputs_that_nothing_trains_is_not_made(tmp_path: Path, labels: list[Any], message: str) -> None:
    with pytest.raises((DataError, UsageError), match=message):
        load_training(labelled(tmp_path, labels))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "1 class name, not 2"),
        (["a", ""], "the class name '' is empty"),
        (["a", "A"], "the class name 'A' is there twice"),
        (["a", "b\x1b[2J"], "cannot be printed"),
        (["a", "b" * 101], "has more than 100 characters"),
        ([str(n) for n in range(10_001)], "10,001 class names, not 2 to 10,000"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_names_that_a_class_cannot_have(names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked_names(names)


def test_a_name_that_fits_several_is_none_of_them() -> None:
    assert place_of("POS", ("positive", "Positives")) is None
    assert place_of("positive", ("positive", "Positive")) == 0
    assert place_of("-", ("+", "-")) == 1
