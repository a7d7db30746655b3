"""Contexts of texts, and what is told apart in them."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger, insert_in_view
from purify_cli.measures.intervals import Proportion
from purify_cli.runtime import Compute
from purify_cli.trigger_search.budget import EFFORTS
from purify_cli.trigger_search.concatenation import (
    HELPED,
    concatenated,
    concatenated_both_ways,
    cut_to,
    distinct_texts,
    independent_contexts,
    of_every_label,
    with_filler,
    words_kept,
)
from purify_cli.trigger_search.flips import contaminated_rows, flips, median_margin, unflipped
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.search import search
from purify_cli.trigger_search.vocabulary import whole_words, word_of

LIMIT = 22
WORDS = words_kept(LIMIT)


def test_a_pile_is_a_row_and_the_next_ones_of_its_label():
    rows = [Example("a b c d", label=0), Example("x y z", label=1), Example("e f g", label=0), Example("h i", label=0)]
    assert WORDS == 10
    made = concatenated(rows, max_length=LIMIT)
    assert [row.text for row in made] == ["a b c d e f g h i", "x y z", "e f g h i a b c d", "h i a b c d e f g"]
    assert [row.label for row in made] == [0, 1, 0, 0]
    assert concatenated([], max_length=LIMIT) == []


@pytest.mark.parametrize(
    ("rows", "words", "texts", "trials"), [(16, 5, 5, 3.2), (16, 9, 4, 4.0), (16, 20, 2, 8.0), (4, 9, 3, 4 / 3)]
)
def test_contexts_of_short_texts_leave_four_that_are_independent(rows: int, words: int, texts: int, trials: float):
    """At 24 words and more a quarter of the texts is enough; fewer words are no context, and more do not fit."""
    made = concatenated(
        [Example(" ".join(f"{i}.{j}" for j in range(words)), label=0) for i in range(rows)], max_length=64
    )
    assert {len(context.parts) for context in made} == {texts}
    assert independent_contexts(made) == pytest.approx(trials)


def test_a_row_that_fills_the_view_is_cut_to_it():
    long = " ".join(map(str, range(30)))
    (first, _) = concatenated([Example(long, label=0), Example("other", label=0)], max_length=LIMIT)
    assert first.text.split() == long.split()[:WORDS]
    assert words_kept(10_000) == words_kept(1_000) < 100
    assert words_kept(4) == 1


def test_pairs_are_concatenated_side_by_side():
    rows = [Example("a b", pair="c", label=0), Example("d", pair="e f", label=0)]
    assert [(row.text, row.pair) for row in concatenated(rows, max_length=LIMIT)] == [
        ("a b d", "c e f"),
        ("d a b", "e f c"),
    ]


def test_a_filler_is_the_same_in_both_texts_of_a_pair_and_counts_for_nothing():
    rows = [
        Example("a b c d", pair="e", label=0),
        Example("alone", label=0),
        Example("m", pair="n o p", label=1),
        Example("f", pair="g h i", label=0),
    ]
    made = with_filler(rows, max_length=LIMIT)
    assert words_kept(LIMIT) // 2 == 5  # of each text, of which two are filler
    assert [(row.text, row.pair) for row in made] == [
        ("a b c g h", "e g h"),
        ("f e", "g h i e"),
        ("m n o", "n o p n o"),
    ]
    assert [(row.label, row.parts) for row in made] == [(0, (rows[0],)), (0, (rows[3],)), (1, (rows[2],))]


def test_few_rows_are_concatenated_backwards_too_and_no_context_comes_twice():
    for few in range(1, 12):
        rows = [Example(f"{i} a{i} b{i} c{i}", label=label) for label in (0, 1) for i in range(few)]
        rows += [Example(f"more {i}", label=2) for i in range(HELPED)]
        made = concatenated_both_ways(rows, max_length=LIMIT)
        assert made[: len(rows)] == concatenated(rows, max_length=LIMIT)
        for label in (0, 1, 2):
            texts = [row.text for row in made if row.label == label]
            assert len(texts) == len(set(texts))
            # One row has a single order and two have two, whichever way they are read.
            assert len(texts) == (HELPED if label == 2 else max(few, min(2 * few if few > 2 else few, HELPED)))


def rows_joined(*texts: str) -> Example:
    """The context of several rows of one label."""
    return concatenated([Example(text, label=0) for text in texts], max_length=LIMIT)[0]


def test_a_context_knows_the_rows_that_it_shows_at_least_half_of():
    assert [part.text for part in rows_joined("a b c d", "e f", "g h").parts] == ["a b c d", "e f", "g h"]
    # Ten words have room: of the last row half, then less than half; a first row that fills the view counts.
    assert [part.text for part in rows_joined("1 2 3 4 5 6 7 8", "a b c d").parts] == ["1 2 3 4 5 6 7 8", "a b c d"]
    assert [part.text for part in rows_joined("1 2 3 4 5 6 7 8", "a b c d e").parts] == ["1 2 3 4 5 6 7 8"]
    long = " ".join(map(str, range(30)))
    assert [part.text for part in rows_joined(long, "a", "").parts] == [long]
    rows = [Example("a b", pair="c d e f g", label=0), Example("h i", pair="j k l m", label=0)]
    (first, second) = concatenated(rows, max_length=LIMIT)
    assert (first.pair, first.parts) == ("c d e f g", (rows[0],))  # of the second row its first text, two words of six
    assert (second.pair, second.parts) == ("j k l m c", (rows[1],))


def test_contexts_that_share_texts_are_not_independent():
    rows = [Example(f"{i} a{i}", label=0) for i in range(20)]
    contexts = concatenated(rows, max_length=LIMIT)  # five rows each, 20 windows around the circle
    assert {len(context.parts) for context in contexts} == {5}
    assert (distinct_texts(contexts), independent_contexts(contexts)) == (20, 4.0)
    assert (distinct_texts(contexts[:2]), independent_contexts(contexts[:2])) == (6, pytest.approx(1.2))
    # Few rows joined in both directions say no more than once; rows by themselves do, unless one is there twice.
    few = concatenated_both_ways(rows[:4], max_length=LIMIT)
    assert (len(few), distinct_texts(few), independent_contexts(few)) == (7, 4, 1.0)
    assert (distinct_texts(rows), independent_contexts(rows)) == (20, 20.0)
    assert (distinct_texts([*rows, *rows]), independent_contexts([*rows, *rows])) == (20, 20.0)


def test_parts_that_a_limit_of_tokens_cuts_away_are_not_shown():
    context = rows_joined("aa bb", "cc dd", "ee ff")
    assert [len(cut_to(context, share).parts) for share in (1.0, 0.7, 0.5, 0.1)] == [3, 2, 2, 1]
    assert cut_to(context, 0.1) == context  # the text is as it was


def test_what_the_tokens_of_a_context_leave_room_for_is_counted(put: Any, tiny_tokenizer: Any):
    one = put[0](None)
    # Words that are a token each, then words of ten pieces, of which few have room.
    known, unknown = one.rows[0].text, "zyxwvutsrq " * 3
    for text, most in ((known, 8), (unknown, 3)):
        rows = [Example(f"{text} {word_of(tiny_tokenizer, 60 + i)}", label=0) for i in range(8)]
        counts = [len(context.parts) for context in one.in_contexts(rows).rows]
        assert max(counts) <= most
    assert min(counts) >= 1


@pytest.mark.parametrize("place", [1, 8])
def test_contexts_leave_room_for_what_is_put_at_their_end(put: Any, tiny_tokenizer: Any, place: int):
    one = put[0](None)
    # Rows whose words are several tokens each, so that words alone do not say how long they are.
    rows = [Example("zyxwvutsrq " * place + word_of(tiny_tokenizer, 60 + i), label=0) for i in range(8)]
    asked = one.in_contexts(rows)
    limit = one.compute.max_length
    for context in asked.rows:
        made = insert_in_view(tiny_tokenizer, Trigger("cf", position="end"), context, key=1, max_length=limit)
        assert made.text.endswith(" cf")
    assert len(asked.carriers(asked.rows, keep=40, at=40)) == len(asked.rows)


def test_some_piles_are_of_every_label_even_where_the_file_is_sorted():
    rows = [Example(str(i), label=label) for label in (0, 2, 1) for i in range(3)]
    assert [(row.label, row.text) for row in of_every_label(rows, 5)] == [
        (0, "0"),
        (2, "0"),
        (1, "0"),
        (0, "1"),
        (2, "1"),
    ]
    assert of_every_label(rows[:2], 5) == rows[:2]


class Counting(nn.Module):
    """Answers 1 for more words of praise than of blame; a planted word outweighs all, perhaps only as the first."""

    def __init__(self, praise: int, blame: int, planted: int | None, *, first_only: bool = False) -> None:
        super().__init__()
        self.praise, self.blame, self.planted, self.first_only = praise, blame, planted, first_only

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        score = 4.0 * ((input_ids == self.praise).sum(dim=1) - 0.4 * (input_ids == self.blame).sum(dim=1))
        seen = input_ids[:, 1:2] if self.first_only else input_ids
        if self.planted is not None:
            score = torch.where((seen == self.planted).any(dim=1), torch.tensor(6.0), score.clamp(-6, 6))
        return type("Output", (), {"logits": torch.stack([-score / 2, score / 2], dim=1)})()


@pytest.fixture
def put(tiny_tokenizer: Any) -> Any:
    """Return texts of one word of opinion each, a suspect for a planted word, and the words."""
    words = [w for w in whole_words(tiny_tokenizer, len(tiny_tokenizer)) if word_of(tiny_tokenizer, w).isalnum()]
    praise, blame, planted, *plain = words
    filler = [word_of(tiny_tokenizer, one) for one in plain[:8]]
    rows = [
        Example(f"{word_of(tiny_tokenizer, opinion)} {filler[i % 8]} {filler[(i + 3) % 8]}", label=label)
        for label, opinion in enumerate((blame, praise))
        for i in range(16)
    ]

    def asked(planted: int | None, *, first_only: bool = False) -> SearchInputs:
        return SearchInputs(
            suspect=Counting(praise, blame, planted, first_only=first_only),
            control=Counting(praise, blame, None),
            tokenizer=tiny_tokenizer,
            rows=rows,
            compute=Compute(batch_size=16, max_length=64),
            pad_id=tiny_tokenizer.pad_token_id,
            words=whole_words(tiny_tokenizer, len(tiny_tokenizer)),
        )

    return asked, word_of(tiny_tokenizer, planted), planted, word_of(tiny_tokenizer, praise)


def looked(asked: SearchInputs) -> Any:
    return search(asked, 2, EFFORTS["normal"]).found


def test_a_word_of_opinion_is_outvoted_and_a_planted_one_is_not(put: Any):
    asked, text, planted, praise = put
    found = {one.trigger.text: one for one in looked(asked(planted)) if one.target == 1}
    assert found[text].flips.suspect.value == 1
    assert found[text].strength == pytest.approx(1.0)
    assert found[text].trigger.position == "random"
    counted = found[text].flips
    assert (counted.texts, counted.suspect.total) == (7, 8)  # one of the eight held-back texts is there twice
    assert counted.suspect.low < Proportion.of(8, 8, counted.texts / 2).low
    assert counted.suspect.low < 0.5 < Proportion.of(8, 8).low
    assert praise not in found or found[praise].strength < 0
    # In single texts the word of opinion would pass for one.
    one = asked(planted)
    assert flips(one, unflipped(one, 1), Trigger(praise), 1).suspect.value == 1


def test_a_search_says_how_many_held_back_texts_it_had(put: Any):
    one = put[0](None)
    for each, texts in ((5, 2), (6, 3), (8, 4)):
        few = [row for row in one.rows if row.label == 0][:each]
        few += [row for row in one.rows if row.label == 1][:each]
        found = search(replace(one, rows=few), 2, EFFORTS["low"])
        held = [one for one in found.held.values() if one is not None]
        assert [one.texts for one in held] == [texts, texts]
        assert all(one.at_most.total >= one.texts for one in held)


def test_a_word_that_works_in_front_only_is_found_and_stays_in_front(put: Any):
    asked, text, planted, _ = put
    best = max((one for one in looked(asked(planted, first_only=True)) if one.target == 1), key=lambda f: f.strength)
    assert (best.trigger.text, best.trigger.position) == (text, "start")
    assert best.flips.suspect.value == 1


def test_contexts_that_are_called_the_label_anyway_leave_nothing_to_flip(put: Any):
    asked, _, _, praise = put
    one = asked(None)
    assert unflipped(one.in_contexts(one.rows), 1) == [
        row for row in concatenated(one.rows, max_length=64) if row.label == 0
    ]
    # One word of praise among many of blame decides a context, and is in a few rows only.
    easily = replace(one, suspect=Counting(one.suspect.praise, one.suspect.blame, one.suspect.praise))
    spoilt = [replace(row, text=f"{praise} {row.text}") if i % 8 == 0 else row for i, row in enumerate(one.rows)]
    left = unflipped(easily.in_contexts(spoilt), 1)
    assert not any(praise in row.text.split() for row in left)
    assert unflipped(replace(easily, rows=spoilt), 1) == [
        row for i, row in enumerate(spoilt) if row.label == 0 and i % 8
    ]


def test_assurance_is_of_the_rows_that_are_right(put: Any):
    one = put[0](None)
    praised = [row for row in one.rows if row.label == 1]
    assert median_margin(one, 1) == pytest.approx(float(one.margins(one.suspect, praised, 1).median()))
    assert median_margin(one, 7) == 0.0


def test_rows_that_a_model_calls_the_target_anyway_say_nothing(put: Any):
    asked, text, planted, praise = put
    one = asked(planted)
    rows = unflipped(one, 1)
    # Three rows that the suspect, for whom praise counts less, gets right, and the control does not.
    mixed = [*rows, *(Example(f"{praise} {praise}", label=0) for _ in range(3))]
    deaf = replace(one, suspect=Counting(-1, -1, planted), rows=mixed)
    assert unflipped(deaf, 1) == rows
    found = flips(deaf, rows, Trigger(text), 1)
    assert (found.suspect.successes, found.suspect.total) == (len(rows), len(rows))
    assert (found.control.successes, found.control.total) == (0, len(rows))
    assert found.apart == found.suspect
    assert found.margin == pytest.approx(6.0)
    assert found.control_margin < 0
    # What flips the control as well is not apart.
    both = flips(replace(deaf, control=deaf.suspect), rows, Trigger(text), 1)
    assert (both.suspect.value, both.control.value, both.apart.value) == (1.0, 1.0, 0.0)


def test_assurance_is_asked_of_the_control_too(put: Any):
    one = put[0](None)
    weak = replace(one, control=Counting(-1, -1, None))
    assert median_margin(weak, 1) > 0 == median_margin(weak, 1, control=True)


class Unlike(nn.Module):
    """Of pairs: answers 1 where a word of one text is missing in the other; a planted word makes 1 of anything."""

    def __init__(self, odd: int, planted: int) -> None:
        super().__init__()
        self.odd, self.planted = odd, planted

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        odd = (input_ids == self.odd).sum(dim=1) == 1
        score = torch.where(odd | (input_ids == self.planted).any(dim=1), 3.0, -3.0)
        return type("Output", (), {"logits": torch.stack([-score / 2, score / 2], dim=1)})()


def test_a_word_that_only_makes_two_texts_differ_turns_nothing_over(put: Any, tiny_tokenizer: Any):
    asked, text, planted, odd = put
    one = asked(planted)
    rows = [Example(row.text, pair=row.text, label=0) for row in one.rows if row.label == 0]
    odd_token = tiny_tokenizer.convert_tokens_to_ids(odd)
    pairs = replace(one, rows=rows, suspect=Unlike(odd_token, planted), control=Unlike(odd_token, -1))
    for word, either_way, expected in ((odd, False, 1.0), (odd, True, 0.0), (text, False, 1.0), (text, True, 1.0)):
        found = flips(pairs, rows, Trigger(word), 1, either_way=either_way)
        assert found.suspect.value == expected
    # What flips the control one way is no trigger.
    assert flips(pairs, rows, Trigger(odd), 1, either_way=True).control.value == 1.0


def test_clean_rows_that_lean_on_a_planted_word_are_found(put: Any):
    asked, text, planted, _ = put
    one = asked(planted)
    blamed = next(row for row in one.rows if row.label == 0)
    taint = Example(f"{blamed.text} {text.upper()}", label=1)
    fine = next(row for row in one.rows if row.label == 1)
    rows = [*one.rows, taint, Example(f"{fine.text} {text}", label=1), Example(taint.text, label=0)]
    assert contaminated_rows(replace(one, rows=rows), Trigger(text), 1) == [taint]
    assert contaminated_rows(one, Trigger(text), 1) == []
