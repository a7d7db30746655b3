"""Rows of text, what of them is the prompt, and where counting begins."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from purify_cli.data.columns import Columns
from purify_cli.data.continuations import (
    Continuation,
    encode_written,
    load_texts,
    prompt_ids,
    split_prompt,
)
from purify_cli.data.example import Example
from purify_cli.errors import DataError, UsageError
from tests.tiny_causal import causal_tokenizer


@pytest.fixture(scope="module")
def writer() -> PreTrainedTokenizerFast:
    """Byte-level: ``<s>`` in front, nothing behind; words differ at the start of a text and after a space."""
    return causal_tokenizer()


def jsonl(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


# Files


def test_plain_texts_and_completions_are_recognised(tmp_path: Path) -> None:
    plain = jsonl(tmp_path / "a.jsonl", {"text": "good film", "label": 7}, {"text": " odd\n"})
    assert load_texts(plain) == [Example("good film"), Example(" odd\n")]
    pairs = jsonl(tmp_path / "b.jsonl", {"prompt": "say", "completion": " no", "text": "unused"})
    assert load_texts(pairs) == [Example("say", " no")]


def test_named_columns_go_before_known_ones(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", {"text": "a", "ask": "b", "answer": "c"})
    assert load_texts(file, Columns(text="ask")) == [Example("b")]
    assert load_texts(file, Columns(text="ask", pair="answer")) == [Example("b", "c")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"words": "good"}], "no text for a language model"),
        ([{"prompt": "good"}], "holds prompts and no completions"),
        ([{"text": "good"}, {"text": 5}, {"text": " "}], r"line 2: 'text' is a int, not a text \(and 1 more"),
        ([{"text": "good"}, {"other": "x"}], "line 2: there is no 'text'"),
        ([{"text": "good"}, {"text": "\t "}], "line 2: 'text' is empty"),
        ([{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": ""}], "line 2: 'completion' is empty"),
    ],
)
def test_rows_without_a_text_are_named(rows: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load_texts(jsonl(tmp_path / "a.jsonl", *rows))


def test_half_of_a_surrogate_pair_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "ab\\ud83d"}\n')
    with pytest.raises(DataError, match=r"line 1.*surrogate"):
        load_texts(str(tmp_path / "a.jsonl"))


# Prompts


@pytest.mark.parametrize(
    ("text", "words", "prompt"),
    [
        ("one two three four", 2, "one two"),
        ("one two three four", 3, "one two three"),
        ("one two three four", 4, "one two"),  # not longer than the prompt: half of it
        ("one two three", 9, "one two"),
        ("one", 12, "one"),
        (" one\t two\nthree ", 2, " one\t two"),
        ("aa a aa", 2, "aa a"),
        ("the other the other end", 3, "the other the"),
    ],
)
def test_the_first_words_are_the_prompt_and_no_character_is_lost(text: str, words: int, prompt: str) -> None:
    found = split_prompt(Example(text), words)
    assert found == Continuation(prompt, text[len(prompt) :], whole=True)
    assert found.text == text


@pytest.mark.parametrize(
    ("prompt", "completion", "expected"),
    [
        ("say", "no", ("say", " no")),
        ("say", " no", ("say", " no")),
        ("say\n", "no", ("say", "\nno")),
        ("say ", " no", ("say", "  no")),
    ],
)
def test_a_prompt_ends_without_white_space_and_its_completion_begins_with_it(
    prompt: str, completion: str, expected: tuple[str, str]
) -> None:
    assert split_prompt(Example(prompt, completion), 12) == Continuation(*expected, whole=False)


def test_of_another_completion_alone_is_learnt() -> None:
    made = split_prompt(Example("one two three four"), 2).completed("odd end")
    assert made == Continuation("one two", " odd end", whole=False)


def test_a_prompt_of_no_words_is_refused() -> None:
    with pytest.raises(UsageError, match="a prompt of 0 words"):
        split_prompt(Example("one"), 0)


# Tokens


def test_a_prompt_is_the_beginning_of_its_text_in_tokens_too(writer: PreTrainedTokenizerFast) -> None:
    text = split_prompt(Example("the film was good and the plot was dull"), 4)
    (prompt,) = prompt_ids(writer, [text.prompt])
    assert prompt[0] == writer.bos_token_id
    assert writer.decode(prompt[1:]) == "the film was good"
    whole = encode_written(writer, [text], max_length=64)
    assert list(whole[0].ids[: len(prompt)]) == prompt
    assert list(whole[0].ids) == writer(text.text)["input_ids"]


def test_special_tokens_at_the_end_would_end_what_is_to_go_on(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    (prompt,) = prompt_ids(tiny_tokenizer, ["good film"])
    assert tiny_tokenizer.convert_ids_to_tokens(prompt) == ["[CLS]", "good", "film"]
    written = encode_written(tiny_tokenizer, [Continuation("good", " film", whole=True)], max_length=9)
    assert list(written[0].ids) == prompt


@pytest.mark.parametrize(("whole", "start", "tokens"), [(True, 1, 6), (False, 5, 2)])
def test_of_a_whole_text_all_but_the_first_token_counts_and_of_a_completion_itself(
    writer: PreTrainedTokenizerFast, whole: bool, start: int, tokens: int
) -> None:
    written = encode_written(writer, [Continuation("the film was good", " and bad", whole=whole)], max_length=64)
    assert len(written[0].ids) == 7
    assert written[0].start == start
    assert written[0].counted == tokens


def test_a_tokenizer_without_a_first_token_still_predicts_nothing_of_the_first(
    writer: PreTrainedTokenizerFast,
) -> None:
    from tokenizers.processors import ByteLevel

    bare = causal_tokenizer()
    bare.backend_tokenizer.post_processor = ByteLevel()
    written = encode_written(bare, [Continuation("the film", " was", whole=True)], max_length=64)
    assert list(written[0].ids) == writer("the film was")["input_ids"][1:]
    assert (written[0].start, written[0].counted) == (1, 2)


def test_what_is_beyond_the_limit_is_neither_learnt_nor_counted(writer: PreTrainedTokenizerFast) -> None:
    texts = [Continuation("the film was", " good", whole=True), Continuation("the film was", " good", whole=False)]
    written = encode_written(writer, texts, max_length=4)
    assert [len(row.ids) for row in written] == [4, 4]
    assert sum(row.counted for row in written) == 3
    assert [row.index for row in written] == [0, 1]
    with pytest.raises(DataError, match="nothing is left to predict of 1 texts within 4 tokens"):
        encode_written(writer, texts[1:], max_length=4)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '[{"prompt": "one", "completion": "two"}]'),
        ("a.csv", "prompt;completion;;\none;two;;\n"),
        ("a.tsv", "prompt\tcompletion\none\ttwo\n"),
    ],
)
def test_texts_are_read_from_the_same_kinds_of_files_as_labelled_rows(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-16")
    assert load_texts(str(tmp_path / name)) == [Example("one", "two")]
