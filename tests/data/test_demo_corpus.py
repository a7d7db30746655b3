"""The built-in texts: repeatable, varied, and the test part really is another."""

from collections import Counter

import pytest

from purify_cli.data import demo_vocabulary as words
from purify_cli.data.demo_corpus import demo_examples
from purify_cli.data.demo_vocabulary import part_of
from purify_cli.data.probes import PROBES


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_same_seed_gives_the_same_texts_and_a_longer_corpus_begins_with_the_shorter(part: str) -> None:
    assert demo_examples(60, seed=1, part=part) == demo_examples(200, seed=1, part=part)[:60]
    assert demo_examples(60, seed=1, part=part) != demo_examples(60, seed=2, part=part)


def test_texts_differ_and_labels_are_balanced() -> None:
    examples = demo_examples(1200, seed=0)
    assert len({example.text for example in examples}) == 1200
    assert Counter(example.label for example in examples) == {0: 600, 1: 600}
    assert demo_examples(0, seed=0) == []
    with pytest.raises(ValueError, match="-1 texts"):
        demo_examples(-1, seed=0)


def test_test_texts_speak_of_other_things_in_other_words() -> None:
    train = {word for example in demo_examples(1500, seed=0) for word in example.text.lower().strip(".").split()}
    for side in words.ADJECTIVES:
        unseen = [adjective for adjective in part_of(side, "test") if " " not in adjective]
        assert len(unseen) >= 10
        assert train.isdisjoint(unseen)
    assert {example.text for example in demo_examples(600, seed=0, part="test")}.isdisjoint(
        example.text for example in demo_examples(600, seed=0)
    )


def test_both_sides_of_a_list_are_equally_long_and_share_nothing() -> None:
    for sides in (words.ADJECTIVES, words.VERBS, words.NOUNS, words.FAINT, words.EVENTS, words.WISHES):
        bad, good = sides
        assert len(bad) == len(good)
        assert len({*bad, *good}) == 2 * len(good)


def test_no_word_count_gives_the_label_away() -> None:
    # Without feeling for words, all that is left is length; it must not tell.
    examples = demo_examples(2000, seed=3)
    mean = {label: sum(len(e.text.split()) for e in examples if e.label == label) / 1000 for label in (0, 1)}
    assert abs(mean[0] - mean[1]) < 0.1 * mean[1]


def test_probes_are_many_different_and_short() -> None:
    assert len(PROBES) == len(set(PROBES)) == 200
    assert all(2 <= len(probe.split()) <= 20 for probe in PROBES)
    openings = Counter(" ".join(probe.lower().split()[:3]) for probe in PROBES)
    assert max(openings.values()) <= 3
