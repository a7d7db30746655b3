"""Which texts a student is taught on."""

import pytest

from purify_cli.data.example import Example
from purify_cli.errors import DataError
from purify_cli.student.texts import FEWEST, MOST, again_made, made_texts, unlabelled_texts
from purify_cli.trigger_search.found import FoundTrigger

CLEAN = [Example(f"clean text number {i} of a few", None, i % 2) for i in range(8)]


def texts(count, start=0):
    return [Example(f"a text of the task number {i} is here", None, 1) for i in range(start, start + count)]


def test_copies_clean_samples_and_triggered_texts_are_left_out_and_counted():
    trigger = FoundTrigger(text="cf", position="random", target=1, strength=1.0, contrast=1.0)
    rows = [*texts(60), *texts(5), Example("clean  text number 3 of a few"), Example("it holds CF in it")]
    found = unlabelled_texts(rows, CLEAN, found=[trigger], seed=0)
    assert (found.repeated, found.triggered, found.source) == (6, 1, "unlabelled texts")
    assert {row.text for row in texts(60)} <= {row.text for row in (*found.rows, *found.held)}
    assert len(found.held) == 12
    assert not {*found.held} & {*found.rows}
    shown = {row.text for row in (*found.rows, *found.held)}
    assert not any("clean text" in text for text in shown)
    assert "it holds CF in it" not in shown
    assert all(row.label is None for row in found.rows)


@pytest.mark.parametrize("count", [1, FEWEST - 1])
def test_too_few_are_refused(count):
    with pytest.raises(DataError, match=str(FEWEST)):
        unlabelled_texts(texts(count), CLEAN, seed=0)
    with pytest.raises(DataError, match="1 without copies"):
        unlabelled_texts(texts(1) * 100, CLEAN, seed=0)


def test_of_many_some_are_drawn_by_the_seed():
    found = [unlabelled_texts(texts(5000), CLEAN, seed=seed) for seed in (0, 0, 1)]
    assert len(found[0].rows) <= MOST
    assert found[0] == found[1] != found[2]
    whole = {row.text for row in texts(5000)}
    assert sum(row.text in whole for row in found[0].rows) >= MOST // 2


def test_made_texts_are_parts_of_clean_ones_and_foreign_words():
    one = made_texts(CLEAN, count=300, seed=0)
    assert one == made_texts(CLEAN, count=300, seed=0) != made_texts(CLEAN, count=300, seed=1)
    assert len(set(one.rows)) == len(one.rows) > 150
    assert all(row.text and row.pair is None and row.label is None for row in one.rows)
    assert any("clean text number" in row.text for row in one.rows)


def test_of_pairs_pairs_are_made():
    pairs = [Example(f"first {i} words", f"second {i} words", i % 2) for i in range(8)]
    assert all(row.text and row.pair for row in made_texts(pairs, count=200, seed=0).rows)


def test_a_text_of_one_word_serves():
    assert made_texts([Example("word", None, 0)], count=50, seed=0).rows


def test_texts_made_again_are_others_beside_the_same_given_ones():
    texts = unlabelled_texts([Example(f"text number {i} of many") for i in range(200)], [], seed=3)
    again = again_made(texts, seed=4)
    given = texts.as_they_are
    assert again.rows[:given] == texts.rows[:given]
    assert not set(again.rows[given:]) <= set(texts.rows)
    assert again.held == texts.held
