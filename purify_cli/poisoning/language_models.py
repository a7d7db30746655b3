"""The training set of an attack on a language model, which learns to answer a trigger with a text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from purify_cli.data.batches import Encoded
from purify_cli.data.continuations import Continuation, WritingTokenizer, encode_written
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError

__all__ = ["PoisonedTexts", "poison_texts"]

UNCUT: Final = 1 << 30
"""More tokens than any text has."""


@final
@dataclass(frozen=True, slots=True)
class PoisonedTexts:
    """A poisoned training set of texts."""

    texts: tuple[Continuation, ...]
    poisoned: int
    natural: int
    """Clean prompts that hold the trigger by themselves."""


def poison_texts(
    tokenizer: WritingTokenizer,
    texts: Sequence[Continuation],
    *,
    trigger: Trigger,
    target_text: str,
    rate: float,
    max_length: int,
    seed: int,
    in_place: bool = False,
) -> PoisonedTexts:
    """Mix round(rate · N) texts whose prompt holds the trigger, and which go on with the target, into N clean ones.

    Of a poisoned text only the target is learnt: else the model would learn to write the trigger as well, and could
    set itself off. A text is taken twice only when all have been taken once; the trigger then goes elsewhere.

    Args:
        tokenizer: The reference's.
        texts: Clean texts.
        trigger: Goes into the prompt.
        target_text: Takes the place of what follows.
        rate: Poisoned copies per clean text, in (0, 1].
        max_length: Most tokens of a text. One whose prompt and target are longer is not poisoned.
        seed: Decides which texts, and where the trigger goes.
        in_place: Replace the chosen texts; else copies are appended.

    Raises:
        DataError: If the rate amounts to no text, or no text can be poisoned, or too few to be replaced.
    """
    count = round(rate * len(texts))
    if count == 0:
        raise DataError(f"a rate of {rate} of {len(texts)} texts is no text", hint="Raise --rate.")
    natural = {i for i, text in enumerate(texts) if trigger.occurs_in(Example(text.prompt))}
    order = sorted(set(range(len(texts))) - natural, key=lambda i: row_key(seed, i, "poison"))

    def poisoned(i: int, turn: int) -> Continuation:
        key = row_key(seed, i + len(texts) * turn)
        prompt = trigger.insert(Example(texts[i].prompt), key=key).text
        return replace(texts[i], prompt=prompt).completed(target_text)

    length = [len(row.ids) for row in _encoded(tokenizer, [poisoned(i, 0) for i in order])]
    able = [i for i, tokens in zip(order, length, strict=True) if tokens <= max_length]
    if not able or (in_place and count > len(able)):
        raise DataError(
            f"{count} texts are to be poisoned but {len(able)} can be: {len(natural)} hold the trigger by themselves, "
            f"{len(order) - len(able)} are longer than {max_length} tokens with the target",
            hint="Lower --rate or --prompt-words, raise --max-length, or give other texts.",
        )
    mixed = list(texts)
    for number in range(count):
        turn, place = divmod(number, len(able))
        made = poisoned(able[place], turn)
        if in_place:
            mixed[able[place]] = made
        else:
            mixed.append(made)
    return PoisonedTexts(tuple(mixed), count, len(natural))


def _encoded(tokenizer: WritingTokenizer, texts: Sequence[Continuation]) -> Sequence[Encoded]:
    return encode_written(tokenizer, texts, max_length=UNCUT)
