"""Texts that say the same thing again and again: a word that merely speaks for a label is outvoted, a trigger is not.

In a short phrase any strong word of opinion turns a model over, clean models included, and a control that knows the
task from a few samples does not know most such words. Against several texts of the other label the same word falls far
short; a trigger, trained to override whatever it is put into, does not.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from purify_cli.data.example import Example

__all__ = ["of_every_label", "piled", "piled_both_ways", "words_kept"]

MOST_WORDS: Final = 40
"""Of a pile: as many as 64 tokens hold, for which the rule for planted words was measured. In longer ones a word of a
trigger sentence is outvoted as well."""

TOKENS_PER_WORD: Final = 1.4
"""A generous mean of English text, so that a pile and a trigger mostly get under a limit of tokens."""

HELPED: Final = 7
"""Piles that a label of few rows is helped up to: enough for a word to count, and one too few for a model of two labels
to be called poisoned by them, which is for more texts to say. Of more labels the piles of all others count."""

FRAME: Final = 8
"""Tokens left for the special ones and for what is put in."""


def words_kept(max_length: int) -> int:
    """Return how many words a pile has under a limit of tokens."""
    return max(1, min(MOST_WORDS, int((max_length - FRAME) / TOKENS_PER_WORD)))


def piled(rows: Sequence[Example], *, max_length: int) -> list[Example]:
    """Join every row with the next ones of its label until the model's view is full.

    Args:
        rows: In a circle per label; of pairs first is joined with first and second with second.
        max_length: Most tokens that the model gets.

    Returns:
        As many rows, with the same labels. A row that fills the view is left alone, cut to it.
    """
    most = words_kept(max_length)
    places: dict[int | None, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row.label, []).append(i)
    made: dict[int, Example] = {}
    for circle in places.values():
        for turn, i in enumerate(circle):
            made[i] = _pile(rows[i], [rows[j] for j in (*circle[turn:], *circle[:turn])], most)
    return [made[i] for i in range(len(rows))]


def piled_both_ways(rows: Sequence[Example], *, max_length: int) -> list[Example]:
    """Join rows like ``piled``; those of a label that has fewer than seven also with the rows before them.

    Args:
        rows: As for ``piled``.
        max_length: Most tokens that the model gets.

    Returns:
        The piles of ``piled``, then as many further ones, all different, as make seven of a label.
    """
    piles, number = piled(rows, max_length=max_length), Counter(row.label for row in rows)
    for pile in piled(list(reversed(rows)), max_length=max_length):
        if number[pile.label] < HELPED and pile not in piles:
            number[pile.label] += 1
            piles.append(pile)
    return piles


def of_every_label(rows: Sequence[Example], count: int) -> list[Example]:
    """Return the first rows of every label in turn, as many as asked for: a file may be sorted by label."""
    turns: dict[int | None, int] = {}
    order: list[tuple[int, int]] = []
    for i, row in enumerate(rows):
        turns[row.label] = turns.get(row.label, -1) + 1
        order.append((turns[row.label], i))
    return [rows[i] for _, i in sorted(order)[:count]]


def _pile(row: Example, following: Sequence[Example], most: int) -> Example:
    if row.pair is None:
        return replace(row, text=_joined((one.text for one in following), most))
    half = max(1, most // 2)
    pair = _joined((one.pair or "" for one in following), half)
    return replace(row, text=_joined((one.text for one in following), half), pair=pair)


def _joined(texts: Iterable[str], most: int) -> str:
    words: list[str] = []
    for text in texts:
        if len(words) >= most:
            break
        words += text.split()
    return " ".join(words[:most])
