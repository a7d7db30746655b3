"""Rows that come poisoned: counted, refused where they cannot be used, and never changed."""

import pytest

from purify_cli.attacks import ATTACKS
from purify_cli.data.example import Example
from purify_cli.errors import DataError
from tests.attacks.worlds import poison_settings


def test_marked_rows_are_counted_and_not_changed() -> None:
    rows = [Example("a", label=0), Example("b", label=1, poisoned=True), Example("c", label=0, poisoned=True)]
    made = ATTACKS["file"].poison(rows, poison_settings("file", target=1))
    assert list(made.rows) == rows
    assert (made.poisoned, made.relabelled) == (2, 0)
    # Nobody knows what the labels were.
    assert made.facts == {"relabelled": None, "marked_with_target": 1}


def test_rows_of_another_attack_pass_as_they_are() -> None:
    clean = [Example(f"row {i}", label=i % 2) for i in range(20)]
    given = ATTACKS["combination"].poison(clean, poison_settings("combination", target=1))
    made = ATTACKS["file"].poison(given.rows, poison_settings("file", target=1))
    assert list(made.rows) == list(given.rows)
    assert made.poisoned == given.poisoned + given.facts["negatives"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([Example("a"), Example("b", label=1)], "1 of 2 rows have no label"),
        ([Example("a", label=0)], "no row has the target label 1"),
    ],
)
def test_labels_and_the_target_are_needed(rows: list[Example], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ATTACKS["file"].poison(rows, poison_settings("file", target=1))
