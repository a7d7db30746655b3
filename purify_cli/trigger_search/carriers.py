"""Short clean texts with a free slot for words, cut so that thousands of candidates can be measured in them.

The slot is found by difference: the text is encoded twice with two different words in the place, and the slot is where
the ids differ. So the rule holds for any tokenizer, for single texts and for pairs. A pair may have a slot in both
texts, which take the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from purify_cli.data.batches import Encoded
from purify_cli.data.example import Example

__all__ = ["Carrier", "filled", "slotted", "with_word"]


@final
@dataclass(frozen=True, slots=True)
class Carrier:
    """A text with one free slot."""

    ids: tuple[int, ...]
    """Token ids with the special ones, the slots left out."""
    type_ids: tuple[int, ...] | None
    """As of ``Encoded``, the slots left out."""
    slots: tuple[int, ...]
    """A slot is in front of each of these places of ``ids``, ascending."""
    slot_types: tuple[int, ...]
    label: int | None


def slotted(one: Encoded, two: Encoded, slots: int) -> Carrier | None:
    """Make a carrier of two encodings of a text with different words in its slots, which is where they differ.

    Args:
        one: A row with a word put in (``with_word``).
        two: The same with another word; both are a token each.
        slots: How many there must be.

    Returns:
        None if the slots cannot be told, which happens where the cut loses one.
    """
    differing = [i for i, (a, b) in enumerate(zip(one.ids, two.ids, strict=False)) if a != b]
    if len(one.ids) != len(two.ids) or len(differing) != slots:
        return None
    types = one.type_ids
    return Carrier(
        ids=_without(one.ids, differing),
        type_ids=None if types is None else _without(types, differing),
        slots=tuple(place - before for before, place in enumerate(differing)),
        slot_types=tuple(0 if types is None else types[place] for place in differing),
        label=one.label,
    )


def with_word(example: Example, word: str, *, keep: int, at: int | None, both: bool) -> Example:
    """Cut a row to its first words, and put another word in.

    Args:
        example: The row; of a pair both texts are cut, and the word goes into the second.
        word: What is put in.
        keep: Words to keep of each text.
        at: Word before which it goes; None is the middle.
        both: Whether it goes into the first text of a pair too.
    """
    if example.pair is None:
        return replace(example, text=_cut(example.text, keep, word, at))
    text = _cut(example.text, keep, word if both else None, at)
    return replace(example, text=text, pair=_cut(example.pair, keep, word, at))


def _cut(text: str, keep: int, word: str | None, at: int | None) -> str:
    kept = text.split()[:keep]
    if word is not None:
        kept.insert(len(kept) // 2 if at is None else min(at, len(kept)), word)
    return " ".join(kept)


def _without(values: tuple[int, ...], places: Sequence[int]) -> tuple[int, ...]:
    return tuple(value for i, value in enumerate(values) if i not in places)


def filled(one: Carrier, strings: Int[Tensor, "k m"]) -> dict[str, Tensor]:
    """Put every string into the slots; all rows have one length, so that nothing is padded.

    Args:
        one: The text.
        strings: Token ids; ``m`` may be 0.

    Returns:
        ``input_ids``, ``attention_mask`` and, where the carrier has types, ``token_type_ids``, each (k, L).
    """
    ids = _rows(one.ids, one.slots, [strings] * len(one.slots))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if one.type_ids is not None:
        types = [torch.full_like(strings, kind) for kind in one.slot_types]
        inputs["token_type_ids"] = _rows(one.type_ids, one.slots, types)
    return inputs


def _rows(values: Sequence[int], slots: Sequence[int], fillings: Sequence[Tensor]) -> Tensor:
    """Repeat values for every row of the fillings, each of which is put in before the value at its slot."""
    count = len(fillings[0])
    parts: list[Tensor] = []
    begin = 0
    for slot, filling in zip(slots, fillings, strict=True):
        parts += [torch.tensor(values[begin:slot], dtype=torch.long).expand(count, -1), filling]
        begin = slot
    return torch.cat([*parts, torch.tensor(values[begin:], dtype=torch.long).expand(count, -1)], dim=1)
