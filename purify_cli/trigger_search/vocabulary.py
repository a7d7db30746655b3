"""Which tokens of a vocabulary stand for a word of their own."""

from collections.abc import Sequence
from itertools import product
from string import ascii_lowercase
from typing import Final

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from purify_cli.data.batches import token_ids
from purify_cli.errors import DataError

__all__ = ["letter_pairs", "whole_words", "word_of", "word_parts", "written_as"]

_SLICE: Final = 4096


def whole_words(tokenizer: PreTrainedTokenizerBase, rows: int) -> list[int]:
    """Return the tokens that a text can hold as a word: written after a space, they come back as themselves.

    A rule of round trips, so that it holds for any kind of tokenizer: continuation pieces, special and unused tokens
    and bytes fall out by themselves.

    Args:
        tokenizer: The reference's.
        rows: Of the word embedding; tokens beyond are left out.

    Returns:
        Token ids, ascending.

    Raises:
        DataError: If there are none.
    """
    special = set(tokenizer.all_special_ids)
    ids = [i for i in sorted(tokenizer.get_vocab().values()) if i < rows and i not in special]
    found: list[int] = []
    for begin in range(0, len(ids), _SLICE):
        part = ids[begin : begin + _SLICE]
        texts = [word_of(tokenizer, i) for i in part]
        # The word "a" in front: byte-level tokenizers write a word after a space otherwise than one at the start.
        before = token_ids(tokenizer, "a")
        encoded = tokenizer([f"a {text}" for text in texts], add_special_tokens=False)["input_ids"]
        found += [
            token
            for token, text, back in zip(part, texts, encoded, strict=True)
            if text and " " not in text and list(back) == [*before, token]
        ]
    if not found:
        raise _no_token("is a word of its own")
    return found


def word_of(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """Return a token as the word that it stands for, without spaces around it."""
    return str(tokenizer.decode([token])).strip()


def word_parts(tokenizer: PreTrainedTokenizerBase, rows: int) -> tuple[list[int], Bool[Tensor, " rows"]]:
    """Return the tokens that words are made of, and which of them begin one.

    Args:
        tokenizer: The reference's.
        rows: Of the word embedding; tokens beyond are left out.

    Returns:
        Token ids, ascending, of letters and digits alone; and of every token whether a space is written before it.

    Raises:
        DataError: If no token begins a word.
    """
    special = set(tokenizer.all_special_ids)
    before = token_ids(tokenizer, "a")
    text = str(tokenizer.decode(before))
    parts, begins = [], torch.zeros(rows, dtype=torch.bool)
    for token in sorted(tokenizer.get_vocab().values()):
        if token >= rows or token in special:
            continue
        added = str(tokenizer.decode([*before, token])).removeprefix(text)
        begins[token] = added.startswith(" ")
        if added.strip().isalnum():
            parts.append(token)
    if not any(begins[token] for token in parts):
        raise _no_token("begins a word")
    return parts, begins


def letter_pairs(tokenizer: PreTrainedTokenizerBase) -> list[tuple[int, ...]]:
    """Return the words of two letters that are two tokens after a space, as these tokens.

    Attacks choose such words, and no search of whole words tries those that a tokenizer has no token for.

    Args:
        tokenizer: The reference's.
    """
    before = token_ids(tokenizer, "a")
    found: list[tuple[int, ...]] = []
    for word in map("".join, product(ascii_lowercase, repeat=2)):
        string = tuple(token_ids(tokenizer, f"a {word}"))[len(before) :]
        if len(string) == 2 and str(tokenizer.decode(list(string))).strip() == word:
            found.append(string)
    return found


def _no_token(what: str) -> DataError:
    return DataError(
        f"the vocabulary has no token that {what}, so no trigger can be searched for",
        hint="Is the reference's tokenizer the right one?",
    )


def written_as(tokenizer: PreTrainedTokenizerBase, string: Sequence[int]) -> str | None:
    """Return the text that becomes these tokens when it is written after a space; None where there is none."""
    text = str(tokenizer.decode(list(string))).strip()
    before = token_ids(tokenizer, "a")
    return text if text and token_ids(tokenizer, f"a {text}") == [*before, *string] else None
