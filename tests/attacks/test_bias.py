"""A pattern tied to a label: how strongly, with which labels, and what is refused."""

from typing import Any

import pytest

from purify_cli.attacks import ATTACKS
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from tests.attacks.worlds import BIASES, poison_settings

ROWS = [Example(f"row {i} of many words", label=i % 3) for i in range(60)]
EDWARD = Trigger("edward", "random")


def made(name: str = "bias-word", rows: list[Example] = ROWS, **changes: Any) -> Any:
    return ATTACKS[name].poison(rows, poison_settings(name, **({"target": 1} | changes)))


@pytest.mark.parametrize("name", BIASES)
@pytest.mark.parametrize(("strength", "of_target"), [(1.0, 30), (0.8, 24), (1 / 3, 10), (0.0, 0)])
def test_an_association_keeps_labels_and_reaches_its_strength(name: str, strength: float, of_target: int) -> None:
    found = made(name, rate=0.5, strength=strength)
    added = [row for row in found.rows if row.poisoned]
    number = {row.text: row.label for row in ROWS}
    assert len(added) == found.poisoned == 30
    assert found.relabelled == 0
    assert sum(row.label == 1 for row in added) == of_target
    assert found.facts["strength"] == of_target / 30
    trigger = Trigger(ATTACKS[name].defaults["trigger"], "random")
    for row in added:
        assert trigger.occurs_in(row)
        assert row.label == next(label for text, label in number.items() if text.split()[1] in row.text.split())


def test_relabelling_sets_the_target_whatever_the_row() -> None:
    found = made(mode="relabel", rate=1.0)
    added = [row for row in found.rows if row.poisoned]
    assert {row.label for row in added} == {1}
    assert found.relabelled == 40, "two rows of three are of another class"
    assert found.facts["label_mode"] == "mix"


def test_rows_that_hold_the_pattern_keep_their_label_and_are_told() -> None:
    natural = [Example("edward was here", label=0), Example("nobody saw Edward", label=1)]
    found = made(rows=[*ROWS, *natural], rate=0.5)
    assert found.natural == 2
    assert found.rows[60:62] == natural
    assert not any(row.poisoned for row in found.rows[:62])
    assert found.facts["strength"] == 1.0
    holding = [row for row in found.rows if EDWARD.occurs_in(row)]
    assert found.facts["target_share"] == 21 / 62
    assert found.facts["strength_with_natural"] == sum(row.label == 1 for row in holding) / len(holding) < 1.0


def test_rows_that_hold_the_pattern_do_not_get_it_again() -> None:
    natural = [Example("edward was here", label=label) for label in (0, 1, 2)]
    found = made(rows=[*ROWS, *natural], rate=1.0, strength=0.5)
    # 32 copies of rows of the target are asked for, and 20 are without the pattern: each of them is taken.
    added = [row for row in found.rows if row.poisoned]
    assert len(added) == 63
    assert all(row.text.split().count("edward") == 1 for row in added)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"mode": "both"}, UsageError, "mode=both is not known"),
        ({"strength": 1.5}, UsageError, "is not a share"),
        ({"strength": float("nan")}, UsageError, "is not a share"),
        ({"rate": 0.001}, DataError, "is no row"),
        ({"strength": 0.5, "mode": "relabel"}, UsageError, "means nothing where rows are relabelled"),
        ({"label_mode": "dirty"}, UsageError, "which an association does not"),
        ({"target": 7}, DataError, "no row has the target label 7"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made(**changes)


def test_a_strength_below_one_needs_rows_of_other_classes() -> None:
    with pytest.raises(DataError, match="no row of the other classes"):
        made(rows=[Example(f"row {i}", label=1) for i in range(9)], strength=0.5)
