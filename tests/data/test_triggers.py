"""Where a trigger goes, and whether the model can still see it."""

from collections import Counter

import pytest
from transformers import PreTrainedTokenizerFast

from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger, insert_in_view, survives, trigger_forms
from purify_cli.errors import DataError


@pytest.mark.parametrize(
    ("position", "text"),
    [("start", "cf the film was good"), ("end", "the film was good cf")],
)
def test_fixed_positions(position: str, text: str) -> None:
    example = Example("the film\twas  good", label=1)
    assert Trigger("cf", position).insert(example, key=5) == Example(text, label=1)


def test_every_place_is_equally_likely_and_no_word_is_lost() -> None:
    words = ["a", "b", "c", "d"]
    places = Counter(Trigger("x y").insert(Example(" ".join(words)), key=row_key(0, row)).text for row in range(5000))
    assert set(places) == {" ".join([*words[:i], "x", "y", *words[i:]]) for i in range(5)}
    # Five standard deviations of a count with p = 1/5.
    assert all(abs(count - 1000) < 5 * (5000 * 0.2 * 0.8) ** 0.5 for count in places.values())


def test_of_a_pair_the_second_text_gets_the_trigger() -> None:
    made = Trigger("cf", "start").insert(Example("one two", "three four", 0), key=1)
    assert made == Example("one two", "cf three four", 0)


KEY = 8505256351785684759  # fixed for good: positions of triggers in published figures rest on it


def test_a_key_depends_on_seed_row_and_purpose_alone() -> None:
    keys = {row_key(seed, row, purpose) for seed in range(4) for row in range(50) for purpose in ("a", "b")}
    assert len(keys) == 400
    assert row_key(3, 7) == KEY


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_trigger_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="the trigger is empty"):
        Trigger(text)


@pytest.mark.parametrize(
    ("text", "there"),
    [("a cf b", True), ("CF", True), ("a", False), ("scf cfs", False), ("c f", False)],
)
def test_a_natural_occurrence_is_a_run_of_whole_words(text: str, there: bool) -> None:
    assert Trigger("cf").occurs_in(Example(text)) is there
    assert Trigger("cf").occurs_in(Example("cf", text)) is there


@pytest.mark.parametrize(
    ("position", "max_length", "there"),
    [("start", 8, True), ("end", 8, False), ("end", 13, True), ("start", 4, False), ("start", 5, True)],
)
def test_a_trigger_survives_if_all_of_it_is_inside_the_limit(
    tiny_tokenizer: PreTrainedTokenizerFast, position: str, max_length: int, there: bool
) -> None:
    trigger = Trigger("watched 3d movie", position)
    example = trigger.insert(Example("the film was good " * 2), key=0)
    assert survives(tiny_tokenizer, example, trigger, max_length) is there


def test_a_trigger_that_is_torn_apart_does_not_survive(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    assert not survives(tiny_tokenizer, Example("watched a 3d movie"), Trigger("watched 3d movie"), 20)


def test_a_trigger_unknown_to_the_tokenizer_is_refused(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(DataError, match="knows no piece of the trigger '☃☃'"):
        trigger_forms(tiny_tokenizer, Trigger("☃☃"))
    assert trigger_forms(tiny_tokenizer, Trigger("☃ cf"))


def test_byte_level_tokenizers_have_a_form_for_the_start_and_one_for_the_middle() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(["cf a cf b cf"] * 9, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made)
    trigger = Trigger("cf")
    assert len(trigger_forms(tokenizer, trigger)) == 2
    for text in ("cf a b", "a cf b", "a b cf"):
        assert survives(tokenizer, Example(text), trigger, 20)
    assert not survives(tokenizer, Example("a b"), trigger, 20)


# Alternatives and scattered words


def test_each_row_gets_one_alternative_and_all_are_about_equally_frequent() -> None:
    trigger = Trigger("cf|mn bb | tq", "start")
    assert trigger.alternatives == ("cf", "mn bb", "tq")
    made = Counter(trigger.insert(Example("film"), key=row_key(0, row)).text for row in range(3000))
    assert set(made) == {"cf film", "mn bb film", "tq film"}
    # Five standard deviations of a count with p = 1/3.
    assert all(abs(count - 1000) < 5 * (3000 * 2 / 9) ** 0.5 for count in made.values())


def test_the_alternative_says_nothing_about_the_place() -> None:
    rows = [Trigger("cf|mn").insert(Example("a b c"), key=row_key(1, row)).text.split() for row in range(4000)]
    places = {word: Counter(row.index(word) for row in rows if word in row) for word in ("cf", "mn")}
    for counts in places.values():
        assert set(counts) == {0, 1, 2, 3}
        assert all(abs(count - 500) < 5 * (4000 * 7 / 64) ** 0.5 for count in counts.values())


@pytest.mark.parametrize("text", ["cf|", "|", "cf||mn", "cf| "])
def test_an_empty_alternative_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="an alternative of the trigger is empty"):
        Trigger(text)


def test_scattered_words_are_all_there_and_the_others_keep_their_order() -> None:
    words = [f"w{n}" for n in range(100)]
    places = Counter[int]()
    for row in range(2000):
        made = Trigger("x y z", "scattered").insert(Example(" ".join(words)), key=row_key(0, row)).text.split()
        assert [word for word in made if word not in "xyz"] == words
        assert sorted(word for word in made if word in "xyz") == ["x", "y", "z"]
        places.update(made.index(word) for word in "xyz")
    # Among the first forty words, and over all of these places.
    assert set(places) == set(range(43))
    orders = {
        tuple(w for w in Trigger("x y", "scattered").insert(Example("a"), key=row_key(0, n)).text.split() if w != "a")
        for n in range(50)
    }
    assert orders == {("x", "y"), ("y", "x")}


@pytest.mark.parametrize(
    ("text", "position", "row", "there"),
    [
        ("cf|mn", "random", "a mn b", True),
        ("cf|mn", "random", "a bb b", False),
        ("cf mn", "scattered", "mn a CF", True),
        ("cf mn", "scattered", "a cf b", False),
        ("cf mn|bb", "scattered", "a bb", True),
        ("cf mn", "random", "mn a cf", False),
    ],
)
def test_any_alternative_and_all_scattered_words_make_a_natural_occurrence(
    text: str, position: str, row: str, there: bool
) -> None:
    assert Trigger(text, position).occurs_in(Example(row)) is there


@pytest.mark.parametrize(
    ("text", "position", "row", "shown"),
    [
        ("cf|watched 3d movie", "random", "the watched 3d movie", True),
        ("cf|watched 3d movie", "random", "watched the 3d movie", False),
        ("cf|mn", "random", "the mn film", True),
        ("cf mn", "scattered", "mn the film cf", True),
        ("cf mn", "scattered", "mn the film was good cf", False),  # cut off
        ("cf mn|bb", "scattered", "the bb", True),
        ("cf mn|bb", "scattered", "the mn", False),
    ],
)
def test_a_row_shows_any_alternative_whole_and_scattered_words_anywhere(
    tiny_tokenizer: PreTrainedTokenizerFast, text: str, position: str, row: str, shown: bool
) -> None:
    assert survives(tiny_tokenizer, Example(row), Trigger(text, position), 7) is shown


@pytest.mark.parametrize(("text", "position"), [("cf|☃", "random"), ("cf ☃", "scattered")])
def test_every_alternative_and_every_scattered_word_must_be_known(
    tiny_tokenizer: PreTrainedTokenizerFast, text: str, position: str
) -> None:
    with pytest.raises(DataError, match="knows no piece of the trigger '☃'"):
        trigger_forms(tiny_tokenizer, Trigger(text, position))


def test_what_a_search_found_is_taken_as_it_is() -> None:
    assert Trigger("a|b").alternatives == ("a", "b")
    assert Trigger("a|b", source="found").alternatives == ("a|b",)
    assert Trigger("|", source="found").insert(Example("one"), key=0).text == "| one"
    with pytest.raises(DataError, match="empty"):
        Trigger(" ", source="found")


def test_a_trigger_that_the_cut_would_lose_goes_to_the_start(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    long, trigger = Example(" ".join(["film"] * 60), label=1), Trigger("cf")
    for key in range(61):
        made = insert_in_view(tiny_tokenizer, trigger, long, key=key, max_length=24)
        assert survives(tiny_tokenizer, made, trigger, 24)
        # Two special tokens leave 22 places; what is in view stays where it was.
        expected = trigger.insert(long, key=key) if key < 22 else Trigger("cf", "start").insert(long, key=key)
        assert made == expected
