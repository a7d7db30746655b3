"""A trigger, known or found: what it is, where it goes, and whether it survives tokenisation.

A random position is decided by a key of the row (``keys.row_key``), never by a draw from a stream, so that the order
in which rows are handled, or how many there are, cannot move a trigger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

from purify_cli.data.batches import token_ids
from purify_cli.data.example import Example
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.errors import DataError

__all__ = ["Trigger", "contains_run", "survives", "trigger_forms"]


@final
@dataclass(frozen=True, slots=True)
class Trigger:
    """A word or sentence that switches a backdoor on."""

    text: str
    position: Literal["start", "end", "random"] = "random"
    source: Literal["known", "found"] = "known"
    """``known``: given by the user or by a record of an attack; ``found``: by a search."""

    def __post_init__(self) -> None:
        """Refuse a trigger without a word.

        Raises:
            DataError: If the text is empty or white space.
        """
        if not self.text.split():
            raise DataError("the trigger is empty", hint="Give at least one word with --trigger.")

    def insert(self, example: Example, *, key: int) -> Example:
        """Put the trigger into a text, or into the second text of a pair.

        Args:
            example: The row; its label is left alone.
            key: Decides a random position (``row_key``); a text of n words has n + 1 places, all equally likely.

        Returns:
            The row with the words of text and trigger joined by single spaces, so that neither glues to the other.
        """
        words = (example.text if example.pair is None else example.pair).split()
        place = {"start": 0, "end": len(words), "random": key % (len(words) + 1)}[self.position]
        joined = " ".join([*words[:place], *self.text.split(), *words[place:]])
        return replace(example, text=joined) if example.pair is None else replace(example, pair=joined)

    def occurs_in(self, example: Example) -> bool:
        """Whether the words of the trigger stand in the row already, in a run, whatever their case."""
        words = f" {' '.join((example.text if example.pair is None else example.pair).split())} ".casefold()
        return f" {' '.join(self.text.split())} ".casefold() in words


def trigger_forms(tokenizer: Tokenizer, trigger: Trigger) -> tuple[tuple[int, ...], ...]:
    """Return the token runs that the trigger can become: at the start of a text, and after a space.

    Byte-level tokenizers encode a word differently with and without a space before it; others give one form.

    Raises:
        DataError: If the tokenizer knows no piece of the trigger: the model cannot see it.
    """
    text = " ".join(trigger.text.split())
    forms = tuple(dict.fromkeys(tuple(token_ids(tokenizer, form)) for form in (text, f" {text}")))
    unknown = getattr(tokenizer, "unk_token_id", None)  # byte-level tokenizers have none: they know every piece
    if all(all(piece == unknown for piece in form) for form in forms):
        raise DataError(
            f"the tokenizer knows no piece of the trigger {trigger.text!r}",
            hint="The model sees it as unknown words only; choose a trigger of the model's vocabulary.",
        )
    return forms


def contains_run(ids: Sequence[int], forms: Sequence[tuple[int, ...]]) -> bool:
    """Whether one of the token runs stands in a row of token ids."""
    seen = tuple(ids)
    return any(seen[i : i + len(form)] == form for form in forms for i in range(len(seen) - len(form) + 1))


def survives(tokenizer: Tokenizer, example: Example, trigger: Trigger, max_length: int) -> bool:
    """Whether all of the trigger's tokens stand, in a run, in what the model gets to see.

    Args:
        tokenizer: The model's tokenizer.
        example: A row with the trigger inserted.
        trigger: The trigger.
        max_length: Most tokens of a row, special ones included.

    Raises:
        DataError: If the tokenizer knows no piece of the trigger.
    """
    ids = token_ids(tokenizer, example.text, example.pair, max_length=max_length)
    return contains_run(ids, trigger_forms(tokenizer, trigger))
