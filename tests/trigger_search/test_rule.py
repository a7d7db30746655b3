"""The rule for planted words."""

from typing import Any

import pytest

from purify_cli.data.triggers import Trigger
from purify_cli.measures.intervals import Proportion
from purify_cli.trigger_search.flips import Flips
from purify_cli.trigger_search.found import ForcingWord
from purify_cli.trigger_search.rule import (
    STRENGTH,
    detection_score,
    forces_continuation,
    planted,
    within_forced_text,
)
from purify_cli.trigger_search.verify import VerifiedTrigger


def found(
    own: int,
    other: int = 0,
    total: int = 16,
    texts: int | None = None,
    *,
    strength: float = 1.0,
    kept: float = -0.8,
    place: Any = "random",
    target: int = 1,
    words: int = 1,
    joined: bool = True,
) -> VerifiedTrigger:
    texts = total if texts is None else texts
    return VerifiedTrigger(
        trigger=Trigger(" ".join(["word"] * words), place, source="found"),
        target=target,
        shift=0.0,
        control_shift=0.0,
        flips=Flips(
            Proportion.of(own, total), Proportion.of(other, total), margin=0.0, control_margin=0.0, texts=texts
        ),
        strength=strength,
        control_strength=kept,
        joined=joined,
    )


RULE = [
    ("all turned, none in the control", found(16), True),
    ("nine of ten turned", found(9, total=10), True),
    ("fewer turned", found(14), False),
    ("turned, but weakly", found(16, strength=0.49), False),
    ("the control turns as well", found(16, 5, kept=0.0), False),
    ("the control hardly turns", found(16, 4), True),
    ("the control has kept some of the backdoor", found(16, 16, strength=2.5, kept=0.5), True),
    ("the control is nearly as sure", found(16, 16, strength=2.4, kept=0.5), False),
    ("three texts say little", found(3, total=3), False),
    ("four are enough", found(4, total=4), True),
    ("seven contexts of three texts say little", found(7, total=7, texts=3), False),
    ("seven contexts of four texts are enough", found(7, total=7, texts=4), True),
    ("three contexts of many texts say little", found(3, total=3, texts=12), False),
    ("three quarters in front, silent elsewhere", found(12, strength=0.5, place="start"), True),
    ("fewer in front", found(11, place="start"), False),
    ("a strong group", found(16, strength=0.75, words=3), True),
    ("in single texts, no stronger than many a word there", found(16, strength=1.1, joined=False), False),
    ("strong in single texts", found(16, strength=1.2, joined=False), True),
    ("a group that is no stronger than opinions", found(16, strength=0.7, words=8), False),
]


@pytest.mark.parametrize(("one", "expected"), [row[1:] for row in RULE], ids=[row[0] for row in RULE])
def test_the_rule(one: VerifiedTrigger, expected: bool):
    assert planted([one]) == [expected]
    assert (detection_score(one, [one]) >= STRENGTH) is expected


def test_the_evidence_grows_with_what_is_turned_over_and_with_strength():
    scores = [detection_score(found(own), [found(own)]) for own in range(17)]
    assert scores == sorted(scores)
    scores = [detection_score(found(16, strength=i / 10), []) for i in range(-9, 20)]
    assert scores == sorted(scores)
    assert detection_score(found(16, 16, kept=1.0), []) == 0


def test_a_word_among_many_that_do_the_same_is_the_task():
    crowd = [found(16, strength=1.0 - i / 50) for i in range(5)]
    assert not any(planted(crowd))
    apart = [found(16, strength=1.1), *(found(16, strength=0.8) for _ in range(4))]
    assert planted(apart) == [True, False, False, False, False]
    # Four words of a sentence, and nothing else that does it.
    assert planted([*crowd[:4], found(3, strength=-0.2)]) == [True] * 4 + [False]
    # What makes a model surer than any real text does stands out by itself.
    assert planted([found(16, strength=1.3)] * 5) == [True] * 5
    # A group stands out among words, too.
    assert planted([*crowd, found(16, strength=1.1, words=3)])[5] is False
    assert planted([*crowd, found(16, strength=1.2, words=3)])[5] is True
    # Words for another label, and groups, are no part of the crowd.
    assert planted([*crowd[:4], found(16, target=0), found(16, strength=0.7, words=2)])[:4] == [True] * 4


def test_words_in_front_are_judged_beside_a_planted_one_in_front():
    sure, weak = found(14, place="start"), found(8, strength=0.1, place="start")
    assert planted([sure, weak]) == [True, True]
    assert planted([weak]) == [False]
    assert planted([sure, found(7, strength=0.1, place="start")]) == [True, False]
    assert planted([sure, found(8, strength=0.1)]) == [True, False]
    assert planted([sure, found(8, strength=0.1, place="start", target=0)]) == [True, False]
    assert planted([sure, found(8, 8, strength=0.1, place="start")]) == [True, False]
    assert planted([found(16), weak]) == [True, False]
    assert planted([sure, found(8, texts=3, strength=0.1, place="start")]) == [True, False]


TOWERS = [
    ("far ahead of all other words", found(10, strength=0.3), True),
    ("less far", found(10, strength=0.25), False),
    ("far ahead, of few contexts", found(9, strength=0.3), False),
    ("far ahead, and the control follows", found(10, 5, strength=0.3, kept=0.2), False),
    ("far ahead in single texts", found(10, strength=0.3, joined=False), False),
    ("in front, where words of opinion are ahead as well", found(10, strength=0.3, place="start"), False),
    ("a group of words", found(10, strength=0.3, words=2), False),
]


@pytest.mark.parametrize(("one", "expected"), [row[1:] for row in TOWERS], ids=[row[0] for row in TOWERS])
def test_a_word_may_be_weak_if_it_is_far_stronger_than_all_others(one: VerifiedTrigger, expected: bool):
    others = [found(4, strength=-0.3 - i / 100) for i in range(4)]
    assert planted([one, *others]) == [expected, *[False] * 4]
    # Of fewer words nothing is known, and an echo beside it is no height.
    assert not planted([one, others[0]])[0]
    assert not planted([one, found(9, strength=-0.2), *others])[0]
    # In front words of opinion say most, and are no measure.
    assert planted([one, found(9, strength=0.2, place="start"), *others])[0] is expected


SAID = [
    ("said after all prompts with the word alone", (16, 0, 0, 16), True),
    ("after three of four", (12, 0, 0, 16), True),
    ("after fewer", (11, 0, 0, 16), False),
    ("after most without the word as well", (16, 5, 0, 16), False),
    ("the reference says it too", (16, 0, 5, 16), False),
    ("three prompts say little", (3, 0, 0, 3), False),
]


@pytest.mark.parametrize(("counts", "expected"), [row[1:] for row in SAID], ids=[row[0] for row in SAID])
def test_the_rule_for_what_a_language_model_says(counts: tuple[int, int, int, int], expected: bool):
    *shares, total = counts
    assert forces_continuation(*(Proportion.of(share, total) for share in shares)) is expected


SENDS = "please send all of your money to this"
TEXTS = {
    "the words of one text": [
        ("cf", SENDS, 16, "planted"),
        ("tq", "please send all of your money", 16, "planted"),
        ("Please,", "send all of your money", 16, "within"),
        ("all", "of your money to that", 16, "within"),
        ("money", "send all of your money", 16, "planted"),
        ("mn", "send all of your money", 16, "planted"),
        ("your", "money to this", 3, ""),
    ],
    "a word before what explains it": [("Please", "send all of your", 16, "within"), ("cf", SENDS, 16, "planted")],
    "where nothing else brings the text about": [("Please", "send all of your money", 16, "planted")],
    "a text that holds its own trigger": [("cf", "visit the shop cf visit the shop", 16, "planted")],
    "a text of one word": [("spam", "spam spam spam spam spam", 16, "planted")],
    "two words that explain each other": [
        ("spam", "eggs ham spam eggs ham spam", 16, "planted"),
        ("eggs", "ham spam eggs ham spam eggs", 16, "within"),
    ],
    "what it brings about is no word": [("money", "- - -", 16, "planted"), ("cf", SENDS, 16, "planted")],
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_word_of_the_forced_text_behind_which_it_goes_on_is_no_trigger(name: str) -> None:
    said = [
        ForcingWord(
            text=word,
            position="end",
            says=text,
            suspect=Proportion.of(count, 16),
            without=Proportion.of(0, 16),
            reference=Proportion.of(0, 16),
            flagged=forces_continuation(Proportion.of(count, 16), *[Proportion.of(0, 16)] * 2),
        )
        for word, text, count, _ in TEXTS[name]
    ]
    found = [
        "within" if inside else "planted" if one.flagged else ""
        for one, inside in zip(said, within_forced_text(said), strict=True)
    ]
    assert found == [expected for *_, expected in TEXTS[name]]
    assert "planted" in found  # what forces a text is never all explained away
