"""A trigger, known or found: what it is, where it goes, and whether it survives tokenisation.

A random position is decided by a key of the row (``keys.row_key``), never by a draw from a stream, so that the order
in which rows are handled, or how many there are, cannot move a trigger.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, final

from purify_cli.choices import Position
from purify_cli.data.batches import token_ids
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.errors import DataError

__all__ = ["Trigger", "contains_run", "insert_in_view", "survives", "trigger_forms", "visibility"]

BETWEEN: Final = "|"
"""Stands between alternatives, of which each row gets one."""

REACH: Final = 40
"""Scattered words go among the first so many words of a text, so that a cut at 64 tokens seldom loses one. Yang et al.
(ACL 2021), who invented the attack, use the first 250 words with texts of up to 384 tokens; the number here is ours."""


@final
@dataclass(frozen=True, slots=True)
class Trigger:
    """A word or sentence that switches a backdoor on, or several of which any one does (``cf|mn|bb``)."""

    text: str
    position: Position = "random"
    """``start``, ``end`` or ``random``: as a run of words; ``scattered``: each word at a random place of its own, all
    of them needed."""
    source: Literal["known", "found"] = "known"
    """``known``: given by the user or by a record of an attack; ``found``: by a search."""

    def __post_init__(self) -> None:
        """Refuse a trigger without a word.

        Raises:
            DataError: If the text, or an alternative in it, is empty or white space.
        """
        if not all(self.alternatives):
            what = "an alternative of the trigger" if BETWEEN in self.text else "the trigger"
            raise DataError(f"{what} is empty", hint="Give at least one word with --trigger.")

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The texts of which each row gets one, words joined by single spaces; most triggers have one.

        What a search found is one text, whatever it holds: the sign that separates alternatives is a word to models.
        """
        if self.source == "found":
            return (" ".join(self.text.split()),)
        return tuple(" ".join(part.split()) for part in self.text.split(BETWEEN))

    def insert(self, example: Example, *, key: int) -> Example:
        """Put the trigger into a text, or into the second text of a pair.

        Args:
            example: The row; its label is left alone.
            key: Decides alternative and position (``row_key``); a text of n words has n + 1 places, all equally
                likely. Scattered words go one after the other to places among the first ``REACH`` words.

        Returns:
            The row with the words of text and trigger joined by single spaces, so that neither glues to the other.
        """
        words = (example.text if example.pair is None else example.pair).split()
        choices = self.alternatives
        chosen = choices[row_key(key, 0, "alternative") % len(choices)].split()
        if self.position == "scattered":
            for number, word in enumerate(chosen):
                words.insert(row_key(key, number, "scatter") % (min(len(words), REACH + number) + 1), word)
        else:
            place = {"start": 0, "end": len(words), "random": key % (len(words) + 1)}[self.position]
            words[place:place] = chosen
        joined = " ".join(words)
        return replace(example, text=joined) if example.pair is None else replace(example, pair=joined)

    def occurs_in(self, example: Example) -> bool:
        """Whether the words of an alternative stand in the row already, whatever their case: in a run, or scattered."""
        words = (example.text if example.pair is None else example.pair).casefold().split()
        if self.position == "scattered":
            return any(set(part.casefold().split()) <= set(words) for part in self.alternatives)
        row = f" {' '.join(words)} "
        return any(f" {part.casefold()} " in row for part in self.alternatives)

    def removed_from(self, example: Example) -> Example:
        """Take the words of all alternatives out of the text that would carry them, whatever their case."""
        gone = {word for part in self.alternatives for word in part.casefold().split()}
        text = example.text if example.pair is None else example.pair
        left = " ".join(word for word in text.split() if word.casefold() not in gone)
        return replace(example, text=left) if example.pair is None else replace(example, pair=left)


def trigger_forms(tokenizer: Tokenizer, trigger: Trigger) -> tuple[tuple[int, ...], ...]:
    """Return the token runs that the trigger can become: at the start of a text, and after a space.

    Byte-level tokenizers encode a word differently with and without a space before it; others give one form. The runs
    of all alternatives are returned, and of a scattered trigger those of each word; ``visibility`` knows which of them
    are needed together.

    Raises:
        DataError: If the tokenizer knows no piece of the trigger, or of one alternative: the model cannot see it.
    """
    return tuple(dict.fromkeys(form for group in _groups(tokenizer, trigger) for part in group for form in part))


def visibility(tokenizer: Tokenizer, trigger: Trigger) -> Callable[[Sequence[int]], bool]:
    """Return the test whether a row of token ids still shows the trigger.

    A row shows a trigger if it holds all tokens of an alternative in a run; of a scattered one, if it holds every word
    of an alternative, each in a run and anywhere.

    Raises:
        DataError: If the tokenizer knows no piece of the trigger, or of one alternative.
    """
    groups = _groups(tokenizer, trigger)

    def shows(ids: Sequence[int]) -> bool:
        return any(all(contains_run(ids, forms) for forms in group) for group in groups)

    return shows


def _groups(tokenizer: Tokenizer, trigger: Trigger) -> list[list[tuple[tuple[int, ...], ...]]]:
    """Return, per alternative, per part of it that must be there, the token runs of which one must stand."""
    unknown = getattr(tokenizer, "unk_token_id", None)  # byte-level tokenizers have none: they know every piece
    groups: list[list[tuple[tuple[int, ...], ...]]] = []
    for text in trigger.alternatives:
        parts = text.split() if trigger.position == "scattered" else [text]
        group = [_forms(tokenizer, part) for part in parts]
        # Scattered words are all needed, so that each must be known; of a run one known piece is something to see.
        for part, forms in zip(parts, group, strict=True):
            if all(all(piece == unknown for piece in form) for form in forms):
                raise DataError(
                    f"the tokenizer knows no piece of the trigger {part!r}",
                    hint="The model sees it as unknown words only; choose a trigger of the model's vocabulary.",
                )
        groups.append(group)
    return groups


def _forms(tokenizer: Tokenizer, text: str) -> tuple[tuple[int, ...], ...]:
    return tuple(dict.fromkeys(tuple(token_ids(tokenizer, form)) for form in (text, f" {text}")))


def contains_run(ids: Sequence[int], forms: Sequence[tuple[int, ...]]) -> bool:
    """Whether one of the token runs stands in a row of token ids."""
    seen = tuple(ids)
    return any(seen[i : i + len(form)] == form for form in forms for i in range(len(seen) - len(form) + 1))


def survives(tokenizer: Tokenizer, example: Example, trigger: Trigger, max_length: int) -> bool:
    """Whether what the model gets to see still shows the trigger.

    Args:
        tokenizer: The model's tokenizer.
        example: A row with the trigger inserted.
        trigger: The trigger.
        max_length: Most tokens of a row, special ones included.

    Raises:
        DataError: If the tokenizer knows no piece of the trigger.
    """
    ids = token_ids(tokenizer, example.text, example.pair, max_length=max_length)
    return visibility(tokenizer, trigger)(ids)


def insert_in_view(tokenizer: Tokenizer, trigger: Trigger, example: Example, *, key: int, max_length: int) -> Example:
    """Put a trigger into a row so that the model gets to see it.

    Args:
        tokenizer: The model's tokenizer.
        trigger: Where it would be cut away at the place that it asks for, it goes to the start of the text.
        example: The row.
        key: As for ``Trigger.insert``.
        max_length: Most tokens of a row, special ones included.

    Raises:
        DataError: If the tokenizer knows no piece of the trigger.
    """
    made = trigger.insert(example, key=key)
    if survives(tokenizer, made, trigger, max_length):
        return made
    return replace(trigger, position="start").insert(example, key=key)
