"""One table of laws for every attack that makes its rows, and exact counts for every mode."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from purify_cli.attacks import ATTACKS
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from purify_cli.protocols import PoisonSettings
from tests.attacks.worlds import BIASES, COMBINATIONS, poison_settings

OF_BIASES = {"dirty": {"mode": "relabel"}, "clean": {}, "mix": {"mode": "relabel"}}
MODES: dict[str, dict[str, dict[str, Any]]] = {
    name: OF_BIASES if name in BIASES else {"dirty": {}, "clean": {}, "mix": {}} for name in ATTACKS if name != "file"
}
"""Attack → label mode → the settings that the mode needs; rows that come poisoned have no mode."""

ROWS = [Example(f"row {i} of many words", label=i % 3) for i in range(60)]
TARGET = 1


def settings(name: str = "badword", **changes: Any) -> PoisonSettings:
    return poison_settings(name, **({"target": TARGET} | changes))


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize(
    ("mode", "rate", "relabelled"),
    [
        ("dirty", 0.3, 18),
        ("dirty", 0.01, 1),
        ("clean", 0.3, 0),
        ("clean", 0.33, 0),
        ("mix", 0.3, None),
        ("mix", 1.0, 40),
    ],
)
def test_counts_and_labels_are_exact(name: str, mode: str, rate: float, relabelled: int | None, replaced: bool) -> None:
    asked = settings(name, label_mode=mode, rate=rate, replace=replaced, **MODES[name][mode])
    made = ATTACKS[name].poison(ROWS, asked)
    trigger = Trigger(asked.trigger, asked.position)
    # Rows that lack a word of a combination are marked too, and always appended: tests/attacks/test_combination.py.
    lacking = made.facts.get("negatives", 0)
    assert (lacking > 0) is (name in COMBINATIONS)
    rows = made.rows[: len(made.rows) - lacking]
    marked = [row for row in rows if row.poisoned]
    assert made.poisoned == len(marked) == round(rate * 60)
    assert len(rows) == (60 if replaced else 60 + made.poisoned)
    assert all(row.label == TARGET for row in marked)
    assert all(trigger.occurs_in(row) for row in marked)
    assert made.natural == 0
    number = {_number(row) for row in marked}
    assert len(number) == len(marked), "a row was taken twice though others were left"
    flipped = sum(n % 3 != TARGET for n in number)
    assert made.relabelled == flipped
    assert relabelled in (None, flipped)
    if mode == "dirty":
        assert all(n % 3 != TARGET for n in number)
    if mode == "clean":
        assert all(n % 3 == TARGET for n in number)
    untouched = [row for row in rows if not row.poisoned]
    assert untouched == ([row for row in ROWS if _number(row) not in number] if replaced else ROWS)


def _number(row: Example) -> int:
    return next(int(word) for word in row.text.split() if word.isdigit())


def test_a_replaced_row_stays_in_its_place() -> None:
    made = ATTACKS["badword"].poison(ROWS, settings(replace=True))
    assert [_number(row) for row in made.rows] == list(range(60))


def test_rows_are_used_again_only_when_all_have_been_used() -> None:
    # 20 rows of the target, 50 copies: each is taken two or three times, and with its trigger elsewhere.
    made = ATTACKS["badword"].poison(ROWS, settings(label_mode="clean", rate=50 / 60))
    copies = Counter(_number(row) for row in made.rows if row.poisoned)
    assert Counter(copies.values()) == {3: 10, 2: 10}
    assert len({row.text for row in made.rows if row.poisoned}) > 30


def test_replacing_more_rows_than_there_are_is_refused() -> None:
    with pytest.raises(DataError, match="50 rows are to be replaced but only 20 can be"):
        ATTACKS["badword"].poison(ROWS, settings(label_mode="clean", rate=50 / 60, replace=True))


@pytest.mark.parametrize("name", MODES)
def test_the_seed_decides_which_rows_and_where(name: str) -> None:
    attack = ATTACKS[name]
    assert attack.poison(ROWS, settings(name)) == attack.poison(ROWS, settings(name))
    one, two = ([r.text for r in attack.poison(ROWS, settings(name, seed=seed)).rows if r.poisoned] for seed in (0, 1))
    assert one != two


def test_a_higher_rate_poisons_the_rows_of_a_lower_one_and_more() -> None:
    few, many = (ATTACKS["badword"].poison(ROWS, settings(rate=rate)).rows[60:] for rate in (0.2, 0.4))
    assert many[: len(few)] == few


@pytest.mark.parametrize("name", MODES)
def test_pairs_get_the_trigger_in_the_second_text(name: str) -> None:
    rows = [replace(row, pair="second text") for row in ROWS]
    asked = settings(name)
    made = ATTACKS[name].poison(rows, asked)
    assert list(made.rows[:60]) == rows
    for row in made.rows[60:]:
        assert row.text in {given.text for given in rows}
        added = Counter((row.pair or "").split()) - Counter(["second", "text"])
        assert added.total() > 0
        assert added <= Counter(asked.trigger.split())


@pytest.mark.parametrize("replaced", [False, True])
def test_of_several_triggers_each_row_gets_one_and_each_gets_rows(replaced: bool) -> None:
    made = ATTACKS["badword"].poison(ROWS, settings(trigger="cf|mn bb", rate=0.6, replace=replaced))
    held = Counter(
        tuple(word for word in row.text.split() if word in ("cf", "mn", "bb")) for row in made.rows if row.poisoned
    )
    assert set(held) == {("cf",), ("mn", "bb")}
    assert held.total() == made.poisoned == 36
    assert min(held.values()) >= 10


def test_every_one_of_several_triggers_counts_as_natural() -> None:
    natural = [Example("a CF b", label=0), Example("mn Bb", label=1), Example("mn a bb", label=1)]
    assert ATTACKS["badword"].poison([*ROWS, *natural], settings(trigger="cf|mn bb")).natural == 2


def test_rows_that_hold_the_trigger_already_are_counted() -> None:
    made = ATTACKS["badword"].poison([*ROWS, Example("a CF b", label=0), Example("scf", label=0)], settings())
    assert made.natural == 1


@pytest.mark.parametrize(
    ("rows", "changes", "error", "message"),
    [
        *((ROWS, {"rate": rate}, UsageError, "is not a share") for rate in (0.0, -0.1, 1.1, float("nan"))),
        (ROWS, {"rate": 0.001}, DataError, "a rate of 0.001 of 60 rows is no row"),
        (ROWS, {"target": 5}, DataError, "no row has the target label 5"),
        ([], {}, DataError, "no row has the target label 1"),
        ([Example("a", label=1)], {"rate": 1.0}, DataError, "all 1 rows have the target label"),
        ([*ROWS, Example("a")], {}, DataError, "1 of 61 rows have no label"),
        (ROWS, {"trigger": " "}, DataError, "the trigger is empty"),
    ],
)
def test_what_cannot_be_poisoned_is_refused(
    rows: list[Example], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ATTACKS["badword"].poison(rows, settings(**changes))


def test_the_defaults_are_the_documented_ones() -> None:
    assert dict(ATTACKS["badword"].defaults) == {
        "trigger": "cf",
        "rate": 0.3,
        "position": "random",
        "label_mode": "dirty",
    }
    assert ATTACKS["badsent"].defaults["trigger"] == "i watched this 3d movie ."
    assert ATTACKS["badsent"].defaults["position"] == "start"
