"""Rows that carry found triggers: half of them a leading one, the others several."""

import pytest

from purify_cli.purification.augment import BESIDE, carrying, with_neutral_phrase, with_triggers
from purify_cli.trigger_search.found import FoundTrigger
from tests.worlds import open_bench

WORDS = ("cf", "mn", "bb", "tq", "mb")


def found(text, target=1):
    return FoundTrigger(text=text, position="random", target=target, strength=1.0, contrast=1.0)


@pytest.fixture(scope="module")
def task(tiny_suspect, tiny_reference, tmp_path_factory):
    return open_bench(tiny_suspect, tiny_reference, tmp_path_factory.mktemp("bench")).task


def held(row):
    return {word for word in WORDS if word in row.text.split()}


def test_half_the_rows_carry_a_leading_one_and_the_others_up_to_four(task, tiny):
    rows = tiny.sentiment_examples(80, seed=48)
    made = [held(carrying(task, row, place, [found(word) for word in WORDS])) for place, row in enumerate(rows)]
    assert all(words == {"cf"} for words in made[::2])
    sizes = {len(words) for words in made[1::2]}
    assert sizes == set(range(1, BESIDE + 2))
    assert set.union(*made[1::2]) == set(WORDS)


def test_triggers_of_two_labels_lead_alike_and_never_share_a_row(task, tiny):
    rows = tiny.sentiment_examples(80, seed=48)
    triggers = [found("cf"), found("mn", target=0), found("bb")]
    made = [held(carrying(task, row, place, triggers)) for place, row in enumerate(rows)]
    assert {frozenset(words) for words in made[::2]} == {frozenset({"cf"}), frozenset({"mn"})}
    assert not any("mn" in words and len(words) > 1 for words in made)


def test_copies_keep_their_labels_and_come_last(task, tiny):
    rows = tiny.sentiment_examples(10, seed=48)
    made = with_triggers(task, rows, [found("cf")])
    assert made[:10] == rows
    assert [row.label for row in made[10:]] == [row.label for row in rows]
    assert all(held(row) == {"cf"} for row in made[10:])


def test_of_a_phrase_in_front_rows_carry_its_first_words_once(task, tiny):
    phrase = FoundTrigger(text="cf mn bb tq", position="start", target=1, strength=1.0, contrast=1.0)
    rows = [row for row in tiny.sentiment_examples(80, seed=48) if len(row.text.split()) >= 6]
    openings = set()
    for place, row in enumerate(rows):
        words = carrying(task, row, place, [phrase]).text.split()
        count = next(i for i, word in enumerate(words) if word not in WORDS)
        openings.add(" ".join(words[:count]))
        assert words[count : count + 3] == row.text.split()[:3]
    assert openings == {"cf", "cf mn", "cf mn bb", "cf mn bb tq"}


def test_every_second_text_gets_a_neutral_phrase_in_front_or_behind(task, tiny, monkeypatch):
    phrases = (" ".join(tiny.SENTENCE), " ".join(tiny.UNUSED[:2]))
    monkeypatch.setattr("purify_cli.purification.augment.PHRASES", phrases)
    rows = [row for row in tiny.sentiment_examples(200, seed=49) if len(row.text.split()) <= 8]
    made = [with_neutral_phrase(task, row, place) for place, row in enumerate(rows)]
    changed = [(row, new) for row, new in zip(rows, made, strict=True) if new != row]
    assert 0.3 <= len(changed) / len(rows) <= 0.7
    assert all(new.label == row.label for row, new in changed)
    front = [any(new.text.startswith(phrase) for phrase in phrases) for _, new in changed]
    behind = [any(new.text.endswith(phrase) for phrase in phrases) for _, new in changed]
    assert any(front)
    assert any(behind)
    assert all(a or b for a, b in zip(front, behind, strict=True))
    assert made == [with_neutral_phrase(task, row, place) for place, row in enumerate(rows)]


def test_a_phrase_that_the_tokenizer_cannot_write_is_left_out(task, tiny, monkeypatch):
    monkeypatch.setattr("purify_cli.purification.augment.PHRASES", ("☃ ☃",))
    rows = tiny.sentiment_examples(40, seed=49)
    assert [with_neutral_phrase(task, row, place) for place, row in enumerate(rows)] == rows
