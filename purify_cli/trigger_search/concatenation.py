"""Texts that say the same thing again and again: a word that merely speaks for a label is outvoted, a trigger is not.

In a short phrase any strong word of opinion flips a model, poisoned or not, and a control that knows the task from
a few samples does not know most such words. Against several texts of the other label the same word falls far short; a
trigger, trained to override whatever it is put into, does not.

Such contexts share texts, for a row is joined with the next ones and these with their own next ones. They are no
independent trials: each says which rows it shows (``Example.parts``), and evidence is counted in distinct texts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from purify_cli.data.example import Example

__all__ = [
    "FRAME",
    "concatenated",
    "concatenated_both_ways",
    "cut_to",
    "distinct_texts",
    "independent_contexts",
    "of_every_label",
    "with_filler",
    "words_kept",
]

MOST_WORDS: Final = 40
"""Of a context: as many as 64 tokens hold, for which the rule for planted words was measured. In longer ones a word of
a trigger sentence is outvoted as well."""

ENOUGH_WORDS: Final = 24
"""Of a context of short texts, so that it still outvotes a word of opinion. Ours."""

TRIALS: Final = 4
"""Independent contexts that the texts of a label are to make, where they have ``ENOUGH_WORDS`` then: as many as a flag
takes. Of sixteen texts of five words contexts of 40 words made two, in which not even a word that flips them all could
be flagged."""

TOKENS_PER_WORD: Final = 1.4
"""A generous mean of English text, so that a context and a trigger mostly get under a limit of tokens."""

HELPED: Final = 7
"""Contexts that a label of few rows is helped up to, so that a word can count (four are needed) where some of them are
called the label anyway. They show no more texts for it, and texts are what a verdict counts."""

FILLER: Final = 0.4
"""Share of a pair's texts that is one filler. Ours."""

FRAME: Final = 8
"""Tokens left for the special ones and for what is put in."""


def words_kept(max_length: int) -> int:
    """Return how many words a context has under a limit of tokens."""
    return max(1, min(MOST_WORDS, int((max_length - FRAME) / TOKENS_PER_WORD)))


def concatenated(rows: Sequence[Example], *, max_length: int) -> list[Example]:
    """Join every row with the next ones of its label until the view is full, or holds ``ENOUGH_WORDS`` of a quarter.

    Args:
        rows: In a circle per label; of pairs first is joined with first and second with second.
        max_length: Most tokens that the model gets.

    Returns:
        As many rows, with the same labels, each with its parts. A row that fills the view is left alone, cut to it.
    """
    most = words_kept(max_length)
    places: dict[int | None, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row.label, []).append(i)
    made: dict[int, Example] = {}
    for circle in places.values():
        for turn, i in enumerate(circle):
            following = (rows[circle[(turn + step) % len(circle)]] for step in range(len(circle)))
            made[i] = _concatenate(rows[i], following, most, texts=len(circle) / TRIALS)
    return [made[i] for i in range(len(rows))]


def concatenated_both_ways(rows: Sequence[Example], *, max_length: int) -> list[Example]:
    """Join rows like ``concatenated``; those of a label that has fewer than seven also with the rows before them.

    Args:
        rows: As for ``concatenated``.
        max_length: Most tokens that the model gets.

    Returns:
        The contexts of ``concatenated``, then as many further ones, all different, as make seven of a label.
    """
    contexts, number = concatenated(rows, max_length=max_length), Counter(row.label for row in rows)
    if all(count >= HELPED for count in number.values()):
        return contexts
    for context in concatenated(list(reversed(rows)), max_length=max_length):
        if number[context.label] < HELPED and context not in contexts:
            number[context.label] += 1
            contexts.append(context)
    return contexts


def with_filler(rows: Sequence[Example], *, max_length: int) -> list[Example]:
    """Put the same words behind both texts of pairs: the first ones of the second text of the next pair.

    Joined pairs may all be called one label: of several questions and several sentences few go together. What stands in
    both texts leaves what the two are to each other as it is, and a word that is put in is outvoted by it all the same.

    Args:
        rows: As for ``concatenated``; those that are no pairs are left out.
        max_length: Most tokens that the model gets.

    Returns:
        A context per pair. Its parts are the pair alone, of the filler being said nothing.
    """
    room = max(1, words_kept(max_length) // 2)
    most = round(FILLER * room)
    circles: dict[int | None, list[Example]] = {}
    for row in rows:
        if row.pair is not None:
            circles.setdefault(row.label, []).append(row)
    made: list[Example] = []
    for circle in circles.values():
        for row, other in zip(circle, [*circle[1:], circle[0]], strict=True):
            filler = (other.pair or "").split()[:most]
            text, pair = (" ".join([*one.split()[: room - most], *filler]) for one in (row.text, row.pair or ""))
            made.append(replace(row, text=text, pair=pair, parts=(row,)))
    return made


def of_every_label(rows: Sequence[Example], count: int) -> list[Example]:
    """Return the first rows of every label in turn, as many as asked for: a file may be sorted by label."""
    turns: dict[int | None, int] = {}
    order: list[tuple[int, int]] = []
    for i, row in enumerate(rows):
        turns[row.label] = turns.get(row.label, -1) + 1
        order.append((turns[row.label], i))
    return [rows[i] for _, i in sorted(order)[:count]]


def cut_to(context: Example, share: float) -> Example:
    """Leave out the parts of a context that a limit of tokens cuts away.

    Args:
        context: With parts.
        share: Of the context that is in view, in [0, 1], taken as a share of its characters.

    Returns:
        The context with the first part and those others of which at least half is in view.
    """
    lengths = [len(part.text) + len(part.pair or "") for part in context.parts]
    room = share * (len(context.text) + len(context.pair or ""))
    middles = [sum(lengths[:i]) + length / 2 for i, length in enumerate(lengths)]
    shown = [part for i, part in enumerate(context.parts) if i == 0 or middles[i] <= room]
    return replace(context, parts=tuple(shown))


def distinct_texts(contexts: Iterable[Example]) -> int:
    """Count the different texts that contexts show; a row that is no context shows itself."""
    return len(set().union(*map(_shown, contexts)))


def independent_contexts(contexts: Sequence[Example]) -> float:
    """Return how many independent trials contexts amount to: distinct texts over mean texts per context.

    A context says what its texts say on average. Where windows of k texts slide once around n texts, the mean over the
    n contexts is the mean over the texts, whose variance is k/n of a single context's: n contexts count as n/k.

    Args:
        contexts: At least one.
    """
    shown = [len(_shown(context)) for context in contexts]
    return distinct_texts(contexts) * len(shown) / sum(shown)


def _shown(context: Example) -> set[tuple[str, str | None]]:
    return {(part.text, part.pair) for part in context.parts or (context,)}


def _concatenate(row: Example, following: Iterable[Example], most: int, *, texts: float) -> Example:
    """Join texts up to so many words; with ``ENOUGH_WORDS`` no further one once there are as many as are asked for."""
    room = most if row.pair is None else max(1, most // 2)
    text: list[str] = []
    pair: list[str] = []
    parts: list[Example] = []
    for i, one in enumerate(following):
        first, second = one.text.split(), (one.pair or "").split()
        taken = first[: room - len(text)], second[: room - len(pair)]
        text += taken[0]
        pair += taken[1]
        # Of a row of which less than half is taken, little is said.
        if i == 0 or 0 < len(first) + len(second) <= 2 * sum(map(len, taken)):
            parts.append(one)
        full = len(text) == room and (row.pair is None or len(pair) == room)
        if full or (i + 1 >= texts and len(text) + len(pair) >= ENOUGH_WORDS):
            break
    joined = None if row.pair is None else " ".join(pair)
    return replace(row, text=" ".join(text), pair=joined, parts=tuple(parts))
