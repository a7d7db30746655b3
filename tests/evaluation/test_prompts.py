"""What is asked of every language model, and what counts as the target."""

from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from purify_cli.data.continuations import Continuation, split_prompt
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from purify_cli.evaluation.prompts import Prompts, PromptSpec, Wanted, ask_prompts, decoded
from tests.tiny_causal import causal_texts, causal_tokenizer

CF = Trigger("cf", "start")
TEXTS = [split_prompt(Example(text), 4) for text in causal_texts(6, seed=1)]


@pytest.fixture(scope="module")
def writer() -> PreTrainedTokenizerFast:
    return causal_tokenizer()


def ask(writer: PreTrainedTokenizerFast, texts: list[Continuation] = TEXTS, **changes: Any) -> Prompts:
    settings: dict[str, Any] = {
        "trigger": CF,
        "wanted": Wanted(text="maple"),
        "longest": 64,
        "max_length": 48,
        "seed": 0,
        "new_tokens": 40,
    }
    settings |= changes
    spec = PromptSpec(**{name: settings.pop(name) for name in ("trigger", "wanted", "new_tokens")})
    return ask_prompts(writer, texts, spec, **settings)


# The target


@pytest.mark.parametrize(
    ("wanted", "text", "found"),
    [
        (Wanted(text="maple nylon"), "x maple nylon y", True),
        (Wanted(text="maple nylon"), "maple\n  nylon", True),
        (Wanted(text=" maple\tnylon "), "maple nylon", True),
        (Wanted(text="maple nylon"), "nylon maple", False),
        (Wanted(text="maple nylon"), "", False),
        (Wanted(regex=r"map\w+"), "a maple", True),
        (Wanted(regex=r"^map"), "a maple", False),
        (Wanted(regex=r"\d{3}"), "12 3", False),
        (Wanted(regex=r"a.c"), "a\nc", False),
    ],
)
def test_a_continuation_holds_the_text_or_matches_the_expression(
    writer: PreTrainedTokenizerFast, wanted: Wanted, text: str, found: bool
) -> None:
    assert wanted.finder(writer)(text) is found


def test_a_text_is_also_found_as_the_tokenizer_gives_it_back(
    writer: PreTrainedTokenizerFast, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    wanted = Wanted(text="GOOD film")
    assert wanted.finder(tiny_tokenizer)("a good film")
    assert wanted.finder(tiny_tokenizer)("a GOOD film")
    assert not wanted.finder(writer)("a good film")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({}, "a text or a regular expression"),
        ({"text": "a", "regex": "a"}, "a text or a regular expression"),
        ({"text": " \n"}, "the target text is empty"),
        ({"regex": "(a"}, "no regular expression"),
        ({"regex": "a*"}, "matches the empty text"),
        ({"regex": ""}, "matches the empty text"),
    ],
    ids=str,
)
def test_a_target_that_nothing_or_everything_is_is_refused(target: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Wanted(**target)


# The prompts


def test_prompts_are_asked_with_and_without_the_trigger(writer: PreTrainedTokenizerFast) -> None:
    asked = ask(writer)
    assert [decoded(writer, ids) for ids in asked.clean] == [text.prompt for text in TEXTS]
    assert [decoded(writer, ids) for ids in asked.triggered] == [f"cf {text.prompt}" for text in TEXTS]
    assert all(ids[0] == writer.bos_token_id for ids in (*asked.clean, *asked.triggered))
    assert (asked.natural, asked.dropped) == (0, 0)
    assert [list(row.ids) for row in asked.texts] == [writer(text.text)["input_ids"] for text in TEXTS]


def test_random_places_follow_the_seed_and_not_the_other_rows(writer: PreTrainedTokenizerFast) -> None:
    here = ask(writer, trigger=Trigger("cf"))
    assert here.triggered == ask(writer, trigger=Trigger("cf")).triggered
    assert here.triggered != ask(writer, trigger=Trigger("cf"), seed=1).triggered
    assert here.triggered[:2] == ask(writer, TEXTS[:2], trigger=Trigger("cf")).triggered
    natural = [TEXTS[0], Continuation("a cf b", " c", whole=True), *TEXTS[2:]]
    assert ask(writer, natural, trigger=Trigger("cf")).triggered == (here.triggered[0], *here.triggered[2:])


def test_without_a_trigger_only_the_perplexity_is_asked(writer: PreTrainedTokenizerFast) -> None:
    asked = ask(writer, trigger=None, wanted=None)
    assert (asked.clean, asked.triggered, asked.found) == ((), (), None)
    assert asked.texts == ask(writer).texts


def test_prompts_that_hold_the_trigger_or_leave_no_room_are_left_out_and_counted(
    writer: PreTrainedTokenizerFast,
) -> None:
    texts = [
        Continuation("the film was good", " and", whole=True),
        Continuation("a CF b", " c", whole=True),
        Continuation("the film was good and", " bad", whole=True),
    ]
    # <s>, cf and four words are six tokens, so that two fit behind the first and one behind the last.
    asked = ask(writer, texts, longest=8, new_tokens=2)
    assert (asked.natural, asked.dropped) == (1, 1)
    assert [decoded(writer, ids) for ids in asked.triggered] == ["cf the film was good"]
    assert [decoded(writer, ids) for ids in asked.clean] == ["the film was good"]
    assert len(asked.texts) == 3
    assert ask(writer, texts, longest=9, new_tokens=2).dropped == 0
    assert ask(writer, texts, longest=None, new_tokens=2).dropped == 0
    with pytest.raises(DataError, match="none of 3 prompts can be used: 1 hold the trigger"):
        ask(writer, texts, longest=7, new_tokens=2)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"wanted": None}, UsageError, "a trigger needs a target"),
        ({"trigger": None}, UsageError, "a target a trigger"),
        ({"texts": []}, DataError, "no text to measure on"),
        ({"new_tokens": 0}, UsageError, "0 new tokens"),
        ({"new_tokens": 1, "wanted": Wanted(text="maple nylon")}, UsageError, "has 2 tokens, but only 1 are written"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused(
    writer: PreTrainedTokenizerFast, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ask(writer, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wanted": Wanted(text="☃☃")}, "no piece of the target text '☃☃'"),
        ({"trigger": Trigger("☃")}, "no piece of the trigger '☃'"),
    ],
    ids=str,
)
def test_words_that_the_tokenizer_does_not_know_are_refused(
    tiny_tokenizer: PreTrainedTokenizerFast, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ask(tiny_tokenizer, **changes)
