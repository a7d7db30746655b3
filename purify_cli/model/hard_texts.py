"""Texts in which tokenizers that are not the same give themselves away."""

import string
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["HARD_TEXTS", "around_tokens", "word_texts"]

HARD_TEXTS: Final = (
    "",
    " ",
    "a",
    "The quick brown fox jumps over the lazy dog, and 3.14159 of 2,718 others don't.",
    *(f"{letter} {letter}{letter} in{letter}side" for letter in string.ascii_letters),
    *(f"{sign} a{sign}b {sign}{sign}{sign}" for sign in string.digits + string.punctuation),
    *("".join(chr(code) for code in range(start, start + 32)) for start in range(0, 256, 32)),
    *("word" * count for count in (2, 10, 25, 26, 60, 300)),  # WordPiece gives up at 100 characters, by default
    "  two  spaces,\ttabs\t\t, lines\n\n\nand \u00a0 \u2003 \u3000 other \u200b blanks ",
    "na\u00efve caf\u00e9 \u00c5ngstr\u00f6m e\u0301 \u0130stanbul \u1e9e \ufb01 \u017f \uff21\uff22 \u2460 \u00bd",
    "\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac",
    "\u0639\u0631\u0628\u064a \u05e2\u05d1\u05e8\u05d9\u05ea \u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "\u4e2d\u6587\u5b57 \u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \ud55c\uad6d\uc5b4",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f \U0001d54f \ufffd \ue000",
    "a\u202eb \ufeffc \u00add \u2028e \u2029f \x00g \x7fh",
    "[CLS] [SEP] [PAD] [UNK] [MASK] <s> </s> <pad> <unk> <mask> <|endoftext|> <bos> <eos> [INST] <|im_start|>",
    "user@example.org http://example.org/path?x=1&y=2 @user #tag <url> $5.00 50% C++ e-mail can't l'eau",
    "ALL CAPITALS, Capitalised, camelCase, snake_case, MiXeD",
    "2024-01-31 12:59:59 +1 (555) 010-9999 1000000 0.001 1e-9 0x7f",
)
"""Every ASCII character alone and within words, long words, white space, accents, scripts, emoji, signs that are not
seen, special tokens as text, addresses, numbers and capitals."""

TEXTS: Final = 20_000
"""Texts that the words of a vocabulary become, at most; of a larger one several words share a text."""

MARKS: Final = ("\u2581", "\u0120", "\u010a", "##", "</w>", "@@")
"""Signs by which vocabularies mark the beginning, the middle or the end of a word."""


def word_texts(vocabulary: Iterable[str]) -> list[str]:
    """Return texts that hold each token of a vocabulary as a word."""
    words: list[str] = []
    for token in vocabulary:
        word = token
        for mark in MARKS:
            word = word.replace(mark, " ")
        if word.strip():
            words.append(word.strip())
    words = sorted(set(words))
    size = 1 + len(words) // TEXTS
    return [" ".join(words[start : start + size]) for start in range(0, len(words), size)]


def around_tokens(tokens: Sequence[str]) -> list[str]:
    """Return texts in which tokens stand alone, between words, within words and in capitals."""
    return [
        text for token in tokens for text in (token, f"good {token} film", f"good{token}film", f" {token.upper()}  x")
    ]
