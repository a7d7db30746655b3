"""Which clean samples are held back: no part of the repair, none of the search's choice, every text once."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import pytest

from purify_cli.data.example import Example
from purify_cli.data.sampling import hold_out, require_classes
from purify_cli.purification.clean_rows import split_rows, with_validation
from purify_cli.tasks.base import Task


class Labelled:
    """What ``split_rows`` asks of a task."""

    def require_rows(self, rows: Sequence[Example]) -> None:
        require_classes(rows)


TASK = cast("Task", Labelled())


def rows(*per_label: int) -> list[Example]:
    """Different texts of some labels, sorted by label."""
    return [Example(f"text {i} of {label}", label=label) for label, count in enumerate(per_label) for i in range(count)]


def counts(held: Sequence[Example]) -> dict[int | None, int]:
    return dict(Counter(row.label for row in held))


@pytest.mark.parametrize(
    ("per_label", "held"),
    [((32, 32), {0: 8, 1: 8}), ((8, 8), {0: 2, 1: 2}), ((30, 6), {0: 8, 1: 2}), ((20, 1), {0: 5}), ((3,) * 6, None)],
)
def test_a_quarter_of_every_label_is_held_back_and_never_tuned_on(
    per_label: tuple[int, ...], held: dict[int, int] | None
) -> None:
    given = rows(*per_label)
    split = split_rows(given, TASK, seed=3)
    (fold,) = split.folds
    assert counts(fold.held) == (held or dict.fromkeys(range(6), 1))
    assert fold.tuned is split.tuned
    assert not split.stands_in
    assert [row for row in given if row in fold.tuned or row in fold.held] == given
    assert not set(fold.tuned) & set(fold.held)
    assert split.held_back is not None
    assert (split.held_back.measured_on, split.held_back.searched) == ("held-back clean samples", False)
    assert [given[number - 1] for number in split.held_back.rows] == list(fold.held)
    assert split_rows(given, TASK, seed=3) == split != split_rows(given, TASK, seed=4)


@pytest.mark.parametrize("per_label", [(32, 32), (8, 8), (13, 9, 5), (40, 4), (6, 6), (4, 4), (5, 7)])
@pytest.mark.parametrize("seed", [0, 7])
def test_what_a_search_chose_on_measures_nothing(per_label: tuple[int, ...], seed: int) -> None:
    given = rows(*per_label)
    twice = [*given, given[0], given[-1]]  # the search, too, takes each text once
    chose, measured = hold_out(given, 0.5, seed=seed)
    split = split_rows(twice, TASK, seed=99, searched=seed)
    (fold,) = split.folds
    assert split.held_back is not None
    assert (split.held_back.seed, split.held_back.searched) == (seed, True)
    assert set(fold.held) <= set(measured)
    assert not set(fold.held) & set(chose)
    assert set(fold.tuned) | set(fold.held) == set(given)


def test_of_fewer_than_sixteen_each_half_measures_the_repair_on_the_other() -> None:
    given = rows(7, 8)
    split = split_rows(given, TASK, seed=3)
    one, other = split.folds
    assert split.stands_in
    assert split.tuned is given
    assert (one.tuned, one.held) == (other.held, other.tuned)
    assert split.held_back is not None
    assert split.held_back.measured_on == "two-fold"
    assert split.held_back.rows == tuple(range(1, 16))


def test_a_text_that_is_tuned_on_measures_nothing_whatever_its_label() -> None:
    given = rows(16, 16)
    given += [Example(row.text, label=1 - (row.label or 0)) for row in given[::2]] + given[:10]
    for seed in range(10):
        split = split_rows(given, TASK, seed=seed)
        (fold,) = split.folds
        held = [row.text for row in fold.held]
        assert held
        assert len(held) == len(set(held))
        assert not set(held) & {row.text for row in fold.tuned}


def test_rows_that_choose_the_step_are_not_tuned_on_meanwhile_and_not_held_back() -> None:
    split = split_rows(rows(32, 32), TASK, seed=0)
    rest, chosen = with_validation(split.tuned, TASK, seed=0)
    assert (len(rest), len(chosen)) == (36, 12)
    assert not set(chosen) & set(rest)
    assert {*chosen, *rest} == set(split.tuned)
    few = rows(1, 1)
    assert with_validation(few, TASK, seed=0) == (few, [])


def test_halves_that_teach_one_label_alone_are_no_repair() -> None:
    one = split_rows(rows(6, 1), TASK, seed=0)
    assert [counts(fold.tuned) for fold in one.folds] == [{0: 3, 1: 1}]
    none = split_rows(rows(1, 1), TASK, seed=0)
    assert none.held_back is None
    assert [list(fold.held) for fold in none.folds] == [[]]
