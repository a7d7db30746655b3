"""The rule for planted words."""

from typing import Any

import pytest

from purify_cli.data.triggers import Trigger
from purify_cli.detection.planted import planted
from purify_cli.inversion.measured import Flips
from purify_cli.inversion.search import Found
from purify_cli.measures.intervals import Proportion


def found(own: int, other: int = 0, total: int = 16, *, strength: float = 1.0, place: Any = "random", target: int = 1):
    turned = Flips(Proportion(own, total), Proportion(other, total), margin=strength)
    trigger = Trigger("word", position=place, source="found")
    return Found(trigger=trigger, target=target, shift=1.0, control_shift=0.0, flips=turned, strength=strength)


RULE = [
    ("all turned, none in the control", found(16), True),
    ("three quarters turned", found(12), True),
    ("fewer turned", found(11), False),
    ("turned, but weakly", found(16, strength=0.49), False),
    ("the control turns as well", found(16, 5), False),
    ("the control hardly turns", found(16, 4), True),
    ("three texts say little", found(3, total=3), False),
    ("four are enough", found(4, total=4), True),
]


@pytest.mark.parametrize(("one", "expected"), [row[1:] for row in RULE], ids=[row[0] for row in RULE])
def test_the_rule(one: Found, expected: bool):
    assert planted([one]) == [expected]


def test_words_in_front_are_judged_beside_a_planted_one_in_front():
    sure, weak = found(14, place="start"), found(8, strength=0.1, place="start")
    assert planted([sure, weak]) == [True, True]
    assert planted([weak]) == [False]
    assert planted([sure, found(7, strength=0.1, place="start")]) == [True, False]
    assert planted([sure, found(8, strength=0.1)]) == [True, False]
    assert planted([sure, found(8, strength=0.1, place="start", target=0)]) == [True, False]
    assert planted([sure, found(8, 8, strength=0.1, place="start")]) == [True, False]
    assert planted([found(14), weak]) == [True, False]
