"""Which tokens of a vocabulary stand for a word of their own."""

from typing import Final

from transformers import PreTrainedTokenizerBase

from purify_cli.data.batches import token_ids
from purify_cli.errors import DataError

__all__ = ["whole_words", "word_of"]

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
        raise DataError(
            "the vocabulary has no token that is a word of its own, so no trigger can be searched for",
            hint="Is the reference's tokenizer the right one?",
        )
    return found


def word_of(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """Return a token as the word that it stands for, without spaces around it."""
    return str(tokenizer.decode([token])).strip()
