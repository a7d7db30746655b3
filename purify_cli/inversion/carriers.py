"""Short clean texts with a free slot for words, cut so that thousands of candidates can be measured in them.

The slot is found by difference: the text is encoded twice with two different words in the place, and the slot is where
the ids differ. So the rule holds for any tokenizer, for single texts and for pairs.
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
from purify_cli.inversion.vocabulary import word_of

__all__ = ["Carrier", "carrier", "filled"]


@final
@dataclass(frozen=True, slots=True)
class Carrier:
    """A text with one free slot."""

    ids: tuple[int, ...]
    """Token ids with the special ones, the slot left out."""
    type_ids: tuple[int, ...] | None
    """As of ``Encoded``, the slot left out."""
    slot: int
    """The slot is in front of this place of ``ids``."""
    slot_type: int
    label: int | None


def carrier(
    tokenizer: PreTrainedTokenizerBase,
    example: Example,
    probes: tuple[int, int],
    *,
    words: int,
    at: int,
    max_length: int,
) -> Carrier | None:
    """Cut a row to its first words and leave a slot in it.

    Args:
        tokenizer: The reference's.
        example: The row; of a pair both texts are cut, and the slot is in the second.
        probes: Two different whole-word tokens (``whole_words``).
        words: Words to keep of each text.
        at: Word before which the slot is.
        max_length: Most tokens.

    Returns:
        None if the slot cannot be told, which happens where the cut loses it.
    """
    first, second = (word_of(tokenizer, probe) for probe in probes)
    one, two = encode(tokenizer, [_with(example, word, words, at) for word in (first, second)], max_length=max_length)
    differing = [i for i, (a, b) in enumerate(zip(one.ids, two.ids, strict=False)) if a != b]
    if len(one.ids) != len(two.ids) or len(differing) != 1:
        return None
    slot = differing[0]
    types = one.type_ids
    return Carrier(
        ids=_without(one.ids, slot),
        type_ids=None if types is None else _without(types, slot),
        slot=slot,
        slot_type=0 if types is None else types[slot],
        label=example.label,
    )


def _with(example: Example, word: str, words: int, at: int) -> Example:
    text = " ".join(example.text.split()[:words])
    carrying = (text if example.pair is None else " ".join(example.pair.split()[:words])).split()
    carrying.insert(min(at, len(carrying)), word)
    joined = " ".join(carrying)
    return replace(example, text=joined) if example.pair is None else replace(example, text=text, pair=joined)


def _without(values: tuple[int, ...], place: int) -> tuple[int, ...]:
    return values[:place] + values[place + 1 :]


def filled(one: Carrier, strings: Int[Tensor, "k m"]) -> dict[str, Tensor]:
    """Put every string into the slot; all rows have one length, so that nothing is padded.

    Args:
        one: The text.
        strings: Token ids; ``m`` may be 0.

    Returns:
        ``input_ids``, ``attention_mask`` and, where the carrier has types, ``token_type_ids``, each (k, L).
    """
    count, length = strings.shape

    def row(values: Sequence[int]) -> tuple[Tensor, Tensor]:
        given = torch.tensor(values, dtype=torch.long)
        return given[: one.slot].expand(count, -1), given[one.slot :].expand(count, -1)

    before, after = row(one.ids)
    ids = torch.cat([before, strings, after], dim=1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if one.type_ids is not None:
        before, after = row(one.type_ids)
        middle = torch.full((count, length), one.slot_type, dtype=torch.long)
        inputs["token_type_ids"] = torch.cat([before, middle, after], dim=1)
    return inputs
