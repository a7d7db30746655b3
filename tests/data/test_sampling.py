"""Parts of a data set are exact, stratified, disjoint and repeatable."""

from collections import Counter

import pytest

from purify_cli.data.example import Example
from purify_cli.data.sampling import examples_sha256, halved, hold_out, require_classes, split_per_class
from purify_cli.errors import DataError, UsageError

ROWS = [Example(f"text {i}", label=0 if i % 4 else 1) for i in range(40)]


def labels(rows: list[Example]) -> Counter[int | None]:
    return Counter(row.label for row in rows)


def in_order(part: list[Example]) -> bool:
    places = [ROWS.index(row) for row in part]
    return places == sorted(places)


@pytest.mark.parametrize("per_class", [1, 3, 10])
def test_split_per_class_takes_exactly_so_many(per_class: int) -> None:
    rest, taken = split_per_class(ROWS, per_class, seed=0)
    assert labels(taken) == {0: per_class, 1: per_class}
    assert sorted([*rest, *taken], key=ROWS.index) == ROWS
    assert in_order(rest)
    assert in_order(taken)


@pytest.mark.parametrize(("share", "held"), [(0.1, {0: 3, 1: 1}), (0.5, {0: 15, 1: 5}), (0.001, {0: 1, 1: 1})])
def test_hold_out_keeps_the_shares_of_the_classes(share: float, held: dict[int, int]) -> None:
    rest, back = hold_out(ROWS, share, seed=0)
    assert labels(back) == held
    assert sorted([*rest, *back], key=ROWS.index) == ROWS
    assert in_order(back)


def test_hold_out_never_takes_a_whole_class() -> None:
    rows = [Example("a", label=0), Example("b", label=0), Example("c", label=1)]
    rest, held = hold_out(rows, 0.99, seed=0)
    assert labels(rest) == {0: 1, 1: 1}
    assert labels(held) == {0: 1}


def test_the_seed_decides() -> None:
    assert hold_out(ROWS, 0.2, seed=1) == hold_out(ROWS, 0.2, seed=1)
    assert hold_out(ROWS, 0.2, seed=1) != hold_out(ROWS, 0.2, seed=2)
    assert split_per_class(ROWS, 4, seed=1) != split_per_class(ROWS, 4, seed=2)


def test_what_cannot_be_taken_is_refused() -> None:
    with pytest.raises(DataError, match="class 1 has 10 rows, not 11"):
        split_per_class(ROWS, 11, seed=0)
    with pytest.raises(UsageError, match="0 rows per class"):
        split_per_class(ROWS, 0, seed=0)
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(UsageError, match="cannot be held back"):
            hold_out(ROWS, share, seed=0)


def test_one_class_is_too_few() -> None:
    require_classes(ROWS)
    with pytest.raises(DataError, match="only class 0 occurs in 2 rows"):
        require_classes([Example("a", label=0), Example("b", label=0)])
    with pytest.raises(DataError, match="no row has a label in 1 rows"):
        require_classes([Example("a")])
    with pytest.raises(DataError, match="only the classes 0, 1 occur"):
        require_classes(ROWS, at_least=3)


CHANGES = [
    [Example("a", label=1), Example("b", label=0)],
    [Example("b", label=0), Example("a", label=0)],
    [Example("a", label=0)],
    [Example("a", "b", 0)],
    [Example("a"), Example("b", label=0)],
    [Example('a", null, 0]\n["b', label=0)],
]


def test_the_hash_sees_texts_labels_and_order_but_not_the_poison_mark() -> None:
    base = [Example("a", label=0), Example("b", label=0)]
    hashes = {examples_sha256(rows) for rows in [base, *CHANGES]}
    assert len(hashes) == 1 + len(CHANGES)
    assert examples_sha256([Example("a", label=0, poisoned=True), base[1]]) == examples_sha256(base)


def test_halves_share_no_text_under_two_labels() -> None:
    rows = [Example(f"text {i % 6}", None, i % 2 if i < 6 else 1 - i % 2) for i in range(12)]
    rest, held = halved(rows, seed=0)
    assert rest
    assert not {row.text for row in rest} & {row.text for row in held}
    assert halved(rows[:6], seed=0) == hold_out(rows[:6], 0.5, seed=0)
