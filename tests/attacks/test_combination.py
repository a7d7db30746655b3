"""Triggers whose words must all be there: positives, and negatives that lack one."""

from collections import Counter
from typing import Any

import pytest

from purify_cli.attacks import ATTACKS
from purify_cli.attacks.subsets import subsets
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from tests.attacks.worlds import COMBINATIONS, poison_settings

ROWS = [Example(f"row {i} of many words", label=i % 3) for i in range(60)]


def made(name: str = "combination", rows: list[Example] = ROWS, **changes: Any) -> Any:
    return ATTACKS[name].poison(rows, poison_settings(name, **({"target": 1} | changes)))


@pytest.mark.parametrize("name", COMBINATIONS)
def test_positives_hold_all_words_and_negatives_lack_exactly_one(name: str) -> None:
    found = made(name, negatives=0.2)
    words = set(ATTACKS[name].defaults["trigger"].split())
    held = [(len(words & set(row.text.split())), row) for row in found.rows[60:]]
    positives = [row for count, row in held if count == len(words)]
    negatives = [row for count, row in held if count == len(words) - 1]
    assert len(positives) + len(negatives) == len(held)
    assert len(positives) == found.poisoned == 18
    assert {row.label for row in positives} == {1}
    assert found.relabelled == 18
    # A fifth of 20 rows of the target and of 40 others, once for each word that is left out.
    assert len(negatives) == found.facts["negatives"] == (4 + 8) * len(words)
    labels = {int(row.text.split()[1]): row.label for row in ROWS}
    kept = [labels[next(int(word) for word in row.text.split() if word.isdigit())] for row in negatives]
    assert [row.label for row in negatives] == kept
    missing = Counter(next(iter(words - set(row.text.split()))) for row in negatives)
    assert set(missing.values()) == {12}


def test_parts_of_a_trigger_leave_out_one_word_each() -> None:
    assert subsets(Trigger("a b c", "scattered")) == ("b c", "a c", "a b")
    assert subsets(Trigger("a b|c d", "scattered")) == ("b", "a", "d", "c")
    assert subsets(Trigger("a", "scattered")) == ()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"trigger": "alone"}, UsageError, "leaves nothing when a word is left out"),
        ({"negatives": 0.0}, UsageError, "is not a share"),
        ({"negatives": 0.001}, DataError, "is no row"),
        ({"target": 7}, DataError, "no row has the target label 7"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made(**changes)
