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
from transformers import PreTrainedTokenizerBase

from purify_cli.data.batches import encode
from purify_cli.data.example import Example
from purify_cli.trigger_search.vocabulary import word_of

__all__ = ["Carrier", "carrier", "filled"]


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


def carrier(
    tokenizer: PreTrainedTokenizerBase,
    example: Example,
    probes: tuple[int, int],
    *,
    words: int,
    at: int | None,
    max_length: int,
    both: bool = False,
) -> Carrier | None:
    """Cut a row to its first words and leave a slot in it.

    Args:
        tokenizer: The reference's.
        example: The row; of a pair both texts are cut, and the slot is in the second.
        probes: Two different whole-word tokens (``whole_words``).
        words: Words to keep of each text.
        at: Word before which the slot is; None is the middle.
        max_length: Most tokens.
        both: Whether the first text of a pair has a slot too.

    Returns:
        None if the slot cannot be told, which happens where the cut loses it.
    """
    first, second = (word_of(tokenizer, probe) for probe in probes)
    made = [_with(example, word, words, at, both=both) for word in (first, second)]
    one, two = encode(tokenizer, made, max_length=max_length)
    differing = [i for i, (a, b) in enumerate(zip(one.ids, two.ids, strict=False)) if a != b]
    if len(one.ids) != len(two.ids) or len(differing) != (2 if both and example.pair is not None else 1):
        return None
    types = one.type_ids
    return Carrier(
        ids=_without(one.ids, differing),
        type_ids=None if types is None else _without(types, differing),
        slots=tuple(place - before for before, place in enumerate(differing)),
        slot_types=tuple(0 if types is None else types[place] for place in differing),
        label=example.label,
    )


def _with(example: Example, word: str, words: int, at: int | None, *, both: bool) -> Example:
    if example.pair is None:
        return replace(example, text=_cut(example.text, words, word, at))
    text = _cut(example.text, words, word if both else None, at)
    return replace(example, text=text, pair=_cut(example.pair, words, word, at))


def _cut(text: str, words: int, word: str | None, at: int | None) -> str:
    """Return the first words of a text, with another put in before word ``at``, or in the middle."""
    kept = text.split()[:words]
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
