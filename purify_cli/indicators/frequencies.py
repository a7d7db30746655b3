"""How often each word piece of a vocabulary occurs in ordinary text.

Counts are known for words, embeddings have rows for pieces. A word's count goes to every piece that any usual spelling
of the word contains: bare, after a space, and both with a capital (a byte-level vocabulary has pieces of their own for
these). Counts are only used through their logarithm, so that how a word's count is shared among its spellings makes
little difference, while leaving one out would make a frequent piece look rare.

Source:
    Word frequencies of English from the package ``wordfreq`` (Speer), or a file. The published method
    (arXiv:2210.09545) names neither its corpus nor how words meet pieces: both are ours.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from purify_cli.data.tokenizer import Tokenizer
from purify_cli.errors import DataError, UsageError

__all__ = ["CORPUS", "WORDFREQ", "check_frequencies", "piece_counts", "read_counts", "word_counts"]

WORDFREQ: Final = "wordfreq"
CORPUS: Final = 1_000_000_000
"""Words of the corpus that a relative frequency is turned into a count for. Ours: of this many words, the rarest that
the package's large list knows (once in 10^8) occur ten times, below the floor of 20."""

_SLICE: Final = 50_000
"""Words handed to the tokenizer at once."""

_PROBE: Final = 2_000
"""Words by which is found out which spellings a tokenizer tells apart."""


def check_frequencies(source: str) -> None:
    """See whether word counts can be had, without reading any.

    Raises:
        UsageError: If the package is not installed, or there is no such file.
    """
    if source == WORDFREQ:
        if find_spec(WORDFREQ) is None:
            raise UsageError(
                "word frequencies come from the package wordfreq, which is not installed",
                hint="Install purify-cli[frequencies], or give --set frequencies=FILE of words and counts.",
            )
    elif not Path(source).is_file():
        raise UsageError(
            f"frequencies={source} is neither {WORDFREQ} nor a file",
            hint="The file has a line `word<TAB>count` for each word, after one line of headings.",
        )


def word_counts(source: str) -> dict[str, float]:
    """Return word → how often it occurs, from the package or from a file.

    Raises:
        UsageError: If there is no such source.
        DataError: If the file cannot be used.
    """
    check_frequencies(source)
    if source != WORDFREQ:
        return read_counts(Path(source))
    package: Any = import_module(WORDFREQ)
    frequencies: Mapping[str, float] = package.get_frequency_dict("en", wordlist="best")
    return {word: CORPUS * frequency for word, frequency in frequencies.items()}


def read_counts(path: Path) -> dict[str, float]:
    """Read ``word<TAB>count`` lines after one line of headings; counts of a word that comes twice are added.

    Raises:
        DataError: If the file is no UTF-8 text, or a line has another form; it is named.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text", hint="Save it as UTF-8, tab-separated.") from error
    hint = "After one line of headings, each line is `word<TAB>count`, the count a number from 0."
    counts: dict[str, float] = {}
    for number, line in enumerate((line.rstrip("\r") for line in lines), start=1):
        word, tab, text = line.partition("\t")
        value = _number(text)
        if number == 1:
            if not tab or value is not None:
                raise DataError(f"line 1 of {path} is no line of headings such as `word<TAB>count`", hint=hint)
        elif line.strip():
            if not word.strip() or value is None or not (isfinite(value) and value >= 0):
                raise DataError(f"line {number} of {path} is not a word, a tab and a count", hint=hint)
            counts[word.strip()] = counts.get(word.strip(), 0.0) + value
    if not counts:
        raise DataError(f"{path} holds no word", hint=hint)
    return counts


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def piece_counts(counts: Mapping[str, float], tokenizer: Tokenizer, rows: int) -> Tensor:
    """Turn counts of words into counts of pieces.

    Args:
        counts: Word → how often it occurs.
        tokenizer: The reference's.
        rows: Rows of the word embedding.

    Returns:
        Shape (rows,), float64; 0 for pieces of no word of the list.
    """
    words = list(counts)
    spellings = _spellings(words[:_PROBE], tokenizer)
    found = torch.zeros(rows, dtype=torch.float64)
    for begin in range(0, len(words), _SLICE):
        part = words[begin : begin + _SLICE]
        # (word, piece) pairs as one number, so that a piece gets a word's count once, however many spellings hold it.
        pairs: list[int] = []
        for spell in spellings:
            ids = _cut([spell(word) for word in part], tokenizer)
            pairs += (at * rows + i for at, pieces in enumerate(ids) for i in pieces if i < rows)
        unique = torch.tensor(pairs, dtype=torch.int64).unique()
        amounts = torch.tensor([counts[word] for word in part], dtype=torch.float64)
        found.index_add_(0, unique % rows, amounts[unique.div(rows, rounding_mode="floor")])
    return found


def _spellings(words: list[str], tokenizer: Tokenizer) -> list[Callable[[str], str]]:
    """Return those spellings that the tokenizer tells from others before them: of an uncased one's, the first."""
    every: list[Callable[[str], str]] = [
        str,
        str.capitalize,
        lambda word: f" {word}",
        lambda word: f" {word.capitalize()}",
    ]
    kept: list[Callable[[str], str]] = []
    seen: list[list[list[int]]] = []
    for spell in every:
        ids = _cut([spell(word) for word in words], tokenizer)
        if ids not in seen:
            kept.append(spell)
            seen.append(ids)
    return kept


def _cut(texts: list[str], tokenizer: Tokenizer) -> list[list[int]]:
    result = tokenizer(
        texts,
        add_special_tokens=False,
        truncation=False,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    return result["input_ids"]
