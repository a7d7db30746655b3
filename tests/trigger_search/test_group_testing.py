"""Groups of words, and the smaller ones in them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import nn

from purify_cli.data.example import Example
from purify_cli.runtime import Compute
from purify_cli.trigger_search.budget import EFFORTS
from purify_cli.trigger_search.group_search import search_groups
from purify_cli.trigger_search.group_testing import covering_groups, ddmin, merge_groups, random_groups
from purify_cli.trigger_search.groups import find_groups, weak_words
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.phrase_growth import grow_phrases
from purify_cli.trigger_search.vocabulary import whole_words, word_of

CPU = torch.device("cpu")
VIEW = 64
REACH = replace(EFFORTS["normal"], pool=40, drawn=200, covering=10)


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("purify_cli.trigger_search.groups.SIZE", 20)


def test_drawn_bags_are_of_different_words_and_of_the_seed():
    pool = range(100, 130)
    groups = random_groups(pool, size=8, count=50, seed=1)
    assert all(len(set(group)) == 8 and set(group) <= set(pool) for group in groups)
    assert groups == random_groups(pool, size=8, count=50, seed=1) != random_groups(pool, size=8, count=50, seed=2)
    assert {len(group) for group in random_groups(pool, size=99, count=3, seed=1)} == {30}


@pytest.mark.parametrize(("words", "size", "most"), [(40, 20, 6), (33, 8, 999), (5, 8, 10), (30, 2, 45)])
def test_every_two_words_meet_in_a_group(words: int, size: int, most: int):
    groups = covering_groups(range(words), size=size, most=most, seed=1)
    assert len(groups) <= most
    assert all(len(set(group)) == len(group) <= size for group in groups)
    met = {pair for group in groups for pair in combinations(sorted(group), 2)}
    reached = sorted({word for group in groups for word in group})
    assert reached == list(range(min(words, size // 2 * {6: 4, 999: 45, 10: 5, 45: 10}[most])))
    assert met == set(combinations(reached, 2))


@pytest.mark.parametrize("needed", [{3}, {0, 19}, {4, 5, 6}, {1, 7, 11, 18}])
def test_a_bag_shrinks_to_the_words_that_are_all_needed(needed: set[int]):
    groups = random_groups(range(20), size=20, count=5, seed=0)
    shrunk = ddmin(groups, lambda tried, _: [needed <= set(group) for group in tried])
    assert [set(group) for group in shrunk] == [needed] * 5


def test_a_bag_in_which_several_words_would_do_shrinks_to_as_many_as_it_takes():
    shrunk = ddmin(
        random_groups(range(20), size=20, count=5, seed=0),
        lambda tried, _: [len({*group} & {2, 3, 5, 8}) >= 2 for group in tried],
    )
    assert all(len(group) == 2 and set(group) <= {2, 3, 5, 8} for group in shrunk)
    assert ddmin([], lambda tried, _: [True for _ in tried]) == []


def test_every_bag_shrinks_by_a_bar_of_its_own():
    bars = [2, 4]
    shrunk = ddmin(
        [tuple(range(9))] * 2, lambda tried, of: [len(group) >= bars[i] for group, i in zip(tried, of, strict=True)]
    )
    assert [len(group) for group in shrunk] == bars


def test_unions_hold_both_and_no_more_than_allowed():
    assert merge_groups([(1, 2), (2, 3), (4, 5, 6)], most=4) == [(1, 2, 3)]


class Planted(nn.Module):
    """Answers 1 where all of some words stand, or enough words of praise; else 0."""

    def __init__(self, needed: Sequence[int], praise: Sequence[int], *, each: float = 0.0) -> None:
        super().__init__()
        self.needed, self.praise, self.each = needed, praise, each

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        assert input_ids.shape[1] <= VIEW, "longer than the table of positions"
        praise = torch.isin(input_ids, torch.tensor(list(self.praise))).sum(dim=1) * 1.0 - 2
        every = torch.stack([(input_ids == one).any(dim=1) for one in self.needed] or [praise > 99]).all(dim=0)
        praise += self.each * sum((input_ids == one).any(dim=1) for one in self.needed)
        score = torch.where(every, torch.tensor(6.0), praise.clamp(max=4.0))
        return type("Output", (), {"logits": torch.stack([-score / 2, score / 2], dim=1)})()


@pytest.fixture
def put(tiny_tokenizer: Any):
    """Return a planted suspect, its innocent control, and the words of its vocabulary."""
    words = whole_words(tiny_tokenizer, len(tiny_tokenizer))
    words = [word for word in words if word_of(tiny_tokenizer, word).isalnum()]
    praise, plain = words[:4], words[4:]
    texts = [" ".join(word_of(tiny_tokenizer, one) for one in plain[-28 + i : -16 + i]) for i in range(16)]
    praised = " ".join(word_of(tiny_tokenizer, one) for one in praise * 3)
    rows = [*(Example(text, label=0) for text in texts), *[Example(praised, label=1)] * 16]

    def asked(needed: Sequence[int], *, each: float = 0.0) -> SearchInputs:
        return SearchInputs(
            suspect=Planted(needed, praise, each=each),
            control=Planted((), praise),
            tokenizer=tiny_tokenizer,
            rows=rows,
            compute=Compute(batch_size=16, max_length=VIEW),
            pad_id=tiny_tokenizer.pad_token_id,
            words=whole_words(tiny_tokenizer, len(tiny_tokenizer)),
        )

    return asked, plain, praise


def test_words_that_only_work_together_are_found_exactly(put: Any, tiny_tokenizer: Any):
    asked, plain, praise = put
    needed = plain[5:20:6]
    found = search_groups(asked(needed), [*plain[:30], *praise], 2, REACH)
    texts = {word_of(tiny_tokenizer, one) for one in needed}
    assert found
    assert all(set(one.trigger.text.split()) == texts and one.target == 1 for one in found)
    assert found[0].flips.suspect.value == 1
    assert found[0].flips.control.value == 0


def test_two_words_beyond_the_random_groups_are_found(put: Any, tiny_tokenizer: Any):
    asked, plain, praise = put
    needed = plain[3], plain[28]
    moved = [*plain[:30], *praise]
    assert not search_groups(asked(needed), moved, 2, replace(REACH, pool=20, covering=0))
    found = search_groups(asked(needed), moved, 2, replace(REACH, pool=20, covering=10))
    assert {frozenset(one.trigger.text.split()) for one in found} == {
        frozenset(word_of(tiny_tokenizer, one) for one in needed)
    }


def test_a_model_that_nobody_planted_a_trigger_in_has_no_group(put: Any):
    asked, plain, praise = put
    assert not search_groups(asked(()), [*plain[:30], *praise], 2, REACH)


def test_words_that_do_a_part_each_grow_to_a_phrase(put: Any, tiny_tokenizer: Any):
    """Too loud for groups: every word alone takes a third of the way."""
    asked, plain, praise = put
    needed = plain[5:20:6]
    found = grow_phrases(asked(needed, each=1.2), {0: [], 1: []}, [*praise, *plain[:30]])
    assert {one.target for one in found} == {1}
    best = found[0]
    assert set(best.trigger.text.split()) == {word_of(tiny_tokenizer, one) for one in needed}
    assert best.trigger.position in {"start", "end"}
    assert (best.flips.suspect.value, best.flips.control.value) == (1, 0)
    assert best.shift > best.control_shift
    # Words of opinion move the control as well.
    assert not grow_phrases(asked(()), {0: [], 1: []}, [*praise, *plain[:30]])


def test_a_phrase_that_persuades_the_control_as_well_is_left_out(put: Any, monkeypatch: pytest.MonkeyPatch):
    """A control that follows the suspect a quarter of the way."""
    asked, plain, praise = put
    one = asked(plain[5:20:6], each=1.2)

    class Following(nn.Module):
        def forward(self, **inputs: Any) -> Any:
            said, own = (module(**inputs).logits for module in (one.suspect, one.control))
            return type("Output", (), {"logits": own + 0.25 * (said - own)})()

    pool = [*praise, *plain[:30]]
    assert grow_phrases(one, {1: []}, pool)
    beside = replace(one, control=Following())
    assert not grow_phrases(beside, {1: []}, pool)
    monkeypatch.setattr("purify_cli.trigger_search.phrase_growth.PERSUADES", 0.3)
    assert grow_phrases(beside, {1: []}, pool)


LONG = {
    "pairs": lambda row, more: replace(row, pair=row.text),
    "pairs that fill the view": lambda row, more: replace(row, text=more(row), pair=more(row)),
    "texts that fill the view": lambda row, more: replace(row, text=more(row)),
}


@pytest.mark.parametrize("view", [24, 64])
@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("grown", [False, True], ids=["drawn", "grown"])
def test_words_that_are_put_into_a_text_leave_it_within_the_positions(
    put: Any, kind: str, grown: bool, view: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(globals(), "VIEW", view)
    monkeypatch.setattr("purify_cli.trigger_search.groups.SIZE", 40)
    asked, plain, praise = put
    one = asked(plain[5:20:6], each=1.2 if grown else 0.0)
    rows = [LONG[kind](row, lambda row: " ".join([row.text] * 6)) for row in one.rows]
    one = replace(one, rows=rows, compute=Compute(batch_size=16, max_length=view), positions=view)
    pool = [*plain[:30], *praise]
    assert grow_phrases(one, {1: []}, pool) if grown else search_groups(one, pool, 2, REACH)


def test_no_group_is_listed_beside_a_part_of_it_that_does_as_much(put: Any):
    asked, plain, praise = put
    found = search_groups(asked(plain[5:7]), [*plain[:30], *praise], 2, REACH)
    groups = [set(one.trigger.text.split()) for one in found if one.target == 1 and one.flips.suspect.value == 1]
    assert groups
    assert not any(one < other for one in groups for other in groups)


def test_nothing_grows_without_words_or_texts(put: Any):
    asked, plain, _ = put
    one = asked(())
    assert not grow_phrases(one, {1: []}, [])
    assert not grow_phrases(replace(one, rows=[row for row in one.rows if row.label == 1]), {1: []}, plain)
    assert not grow_phrases(one, {1: []}, plain[:1])  # a single word is no phrase, and no reason to fail


def test_a_label_without_a_row_is_looked_for_all_the_same(put: Any):
    asked, plain, _ = put
    one = asked(plain[5:7])
    words = plain[:30]
    texts = one.carriers([row for row in one.rows if row.label == 0][:2], keep=16, at=8, longest=30)
    other = replace(one, rows=[row for row in one.rows if row.label == 0])
    assert find_groups(one, texts, words, 1, REACH)
    assert find_groups(other, texts, words, 1, REACH)


def test_an_effort_without_bags_looks_for_no_group(put: Any):
    asked, plain, _ = put
    assert not search_groups(asked(plain[5:20:6]), plain[:30], 2, EFFORTS["low"])


def test_words_of_opinion_are_not_quiet(put: Any):
    asked, plain, praise = put
    one = asked(())
    short = one.carriers(one.rows[:1], keep=4, at=0)
    assert weak_words(one, short, [*praise, *plain[:5]], 1) == plain[:5]
    assert find_groups(one, short, [], 1, REACH) == []
