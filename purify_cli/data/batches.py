"""From texts to padded batches of similar length.

Texts are encoded once and kept as plain integers; a batch is padded to its own longest row. Rows are put together by
length, so that little of the work is padding.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, final

import torch
from torch import Tensor

from purify_cli.data.example import Example
from purify_cli.data.tokenizer import Tokenizer, embedding_rows
from purify_cli.errors import CheckpointError, DataError, UsageError

__all__ = ["Batch", "Encoded", "batches", "encode", "token_ids"]

POOL: Final = 32
"""Batches per pool of a shuffled pass: rows are shuffled, and sorted by length only within a pool of this many
batches. Padding stays small while which rows meet in a batch keeps changing from pass to pass."""

SLICE: Final = 1024
"""Texts handed to the tokenizer at once; it spreads them over its threads."""


@final
@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as the model sees it."""

    ids: tuple[int, ...]
    """Token ids with the special ones, cut to the length limit."""
    type_ids: tuple[int, ...] | None
    """0 for the first text and 1 for the second, where the tokenizer makes that difference."""
    label: int | None
    index: int
    """Place of the row in the data set."""
    start: int = 0
    """Of a text that is written: place of the first token that is learnt or measured, at least 1, since nothing
    predicts the first token."""

    @property
    def counted(self) -> int:
        """Tokens of a text that is written that are learnt or measured."""
        return max(len(self.ids) - self.start, 0)


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded to one length T."""

    inputs: dict[str, Tensor]
    """``input_ids`` and ``attention_mask``, ``token_type_ids`` where the tokenizer gives them; each (B, T) int64."""
    labels: Tensor | None
    """(B,) int64; None if a row of the batch has no label."""
    index: Tensor
    """(B,) int64: places of the rows in the data set."""
    starts: Tensor | None = None
    """(B,) int64: ``Encoded.start`` of the rows; None: of every row all tokens count."""

    def take(self, rows: slice | Tensor) -> "Batch":
        """Return some rows, padding included."""
        return self._each(lambda tensor: tensor[rows])

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(
            {name: change(tensor) for name, tensor in self.inputs.items()},
            None if self.labels is None else change(self.labels),
            change(self.index),
            None if self.starts is None else change(self.starts),
        )


SHOWN: Final = 40
"""Characters of a text that a message shows."""

PANIC: Final = "PanicException"
"""Name of what a failure inside the tokenizers library is raised as: no ``Exception``, and importable from nowhere."""


def _call(tokenizer: Tokenizer, *texts: Any, max_length: int | None, special: bool) -> Any:
    try:
        # "longest_first" cuts tokens off whichever text of a pair is longer; for single texts it is a plain cut. A
        # tokenizer file can carry padding and truncation from where it was saved; both are set here, never inherited.
        return tokenizer(
            *texts,
            add_special_tokens=special,
            truncation="longest_first" if max_length is not None else False,
            max_length=max_length,
            padding=False,
            verbose=False,
        )
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != PANIC:
            raise
        raise CheckpointError(
            f"the tokenizer fails on a text: {' '.join(str(error).split()):.200}",
            hint="Use the tokenizer files that were published with the model.",
        ) from error


def _check_ids(tokenizer: Tokenizer, ids: Iterable[int], holder: str) -> None:
    """Refuse token ids beyond the word embedding.

    Raises:
        DataError: With the token.
    """
    rows = embedding_rows(tokenizer)
    worst = max(ids, default=-1)
    if rows is None or worst < rows:
        return
    named = getattr(tokenizer, "convert_ids_to_tokens", repr)(worst)
    raise DataError(
        f"{holder} holds the token {named!r} ({worst}), and the word embedding has {rows} rows",
        hint="Use the tokenizer that was published with the model, or resize the model's embedding to the tokenizer.",
    )


def token_ids(tokenizer: Tokenizer, text: str, pair: str | None = None, *, max_length: int | None = None) -> list[int]:
    """Return the token ids of one row; with the special tokens, and cut, if a length limit is given.

    Raises:
        DataError: If one is beyond the word embedding.
        CheckpointError: If the tokenizer fails on the text.
    """
    texts = (text,) if pair is None else (text, pair)
    ids = list(_call(tokenizer, *texts, max_length=max_length, special=max_length is not None)["input_ids"])
    _check_ids(tokenizer, ids, f"the text {(text if len(text) <= SHOWN else text[:SHOWN] + '…')!r}")
    return ids


def encode(tokenizer: Tokenizer, examples: Sequence[Example], *, max_length: int) -> list[Encoded]:
    """Encode rows, each cut to a length limit.

    Args:
        tokenizer: The reference's tokenizer.
        examples: Rows; single texts and pairs may be mixed.
        max_length: Most tokens of a row, special ones included. Of a pair the longer text is cut first.

    Returns:
        One ``Encoded`` per row, in order; ``index`` is the row's place.

    Raises:
        UsageError: If the limit leaves no room for a token besides the special ones.
        DataError: If a token is beyond the word embedding.
        CheckpointError: If the tokenizer fails on a text.
    """
    special = tokenizer.num_special_tokens_to_add(pair=any(example.pair is not None for example in examples))
    if max_length <= special:
        raise UsageError(
            f"--max-length {max_length} leaves no room for text",
            hint=f"This tokenizer adds {special} special tokens; use at least {special + 1}.",
        )
    encoded: list[Encoded] = []
    for paired in (False, True):
        chosen = [i for i, example in enumerate(examples) if (example.pair is not None) is paired]
        for begin in range(0, len(chosen), SLICE):
            part = chosen[begin : begin + SLICE]
            texts: list[list[str]] = [[examples[i].text for i in part]]
            if paired:
                texts.append([examples[i].pair or "" for i in part])
            result = _call(tokenizer, *texts, max_length=max_length, special=True)
            types = result.get("token_type_ids")
            for place, i in enumerate(part):
                type_ids = None if types is None else tuple(types[place])
                ids = tuple(result["input_ids"][place])
                _check_ids(tokenizer, ids, f"row {i + 1}")
                encoded.append(Encoded(ids, type_ids, examples[i].label, i))
    return sorted(encoded, key=lambda row: row.index)


def _pad(rows: Sequence[Encoded], pad_id: int) -> Batch:
    length = max(len(row.ids) for row in rows)
    gaps = [length - len(row.ids) for row in rows]
    inputs = {
        "input_ids": torch.tensor([[*row.ids, *[pad_id] * gap] for row, gap in zip(rows, gaps, strict=True)]),
        "attention_mask": torch.tensor([[1] * len(row.ids) + [0] * gap for row, gap in zip(rows, gaps, strict=True)]),
    }
    if all(row.type_ids is not None for row in rows):
        inputs["token_type_ids"] = torch.tensor(
            [[*(row.type_ids or ()), *[0] * gap] for row, gap in zip(rows, gaps, strict=True)]
        )
    labels = [row.label for row in rows if row.label is not None]
    return Batch(
        inputs,
        torch.tensor(labels) if len(labels) == len(rows) else None,
        torch.tensor([row.index for row in rows]),
        torch.tensor([row.start for row in rows]),
    )


def batches(
    encoded: Sequence[Encoded], *, batch_size: int, pad_id: int, shuffle_seed: int | None = None
) -> list[Batch]:
    """Put rows of similar length together and pad them on the right.

    Args:
        encoded: Rows; every one lands in exactly one batch.
        batch_size: Most rows per batch.
        pad_id: Token id of the padding; padded positions have attention 0.
        shuffle_seed: None sorts all rows by length (for passes whose result does not depend on the order). A seed
            shuffles rows, sorts within pools of at most 32 batches, and shuffles the batches. A pool is at most a
            quarter of the rows, or the same rows would meet in every pass.

    Raises:
        UsageError: If the batch size is below 1.
    """
    if batch_size < 1:
        raise UsageError(f"--batch-size {batch_size} is not a positive number", hint="Use 1 or more.")
    rows = list(encoded)
    if shuffle_seed is None:
        rows.sort(key=lambda row: len(row.ids))
        return [_pad(rows[i : i + batch_size], pad_id) for i in range(0, len(rows), batch_size)]
    random = Random(shuffle_seed)
    random.shuffle(rows)
    pool = max(1, min(POOL, len(rows) // (4 * batch_size))) * batch_size
    groups: list[list[Encoded]] = []
    for begin in range(0, len(rows), pool):
        part = sorted(rows[begin : begin + pool], key=lambda row: len(row.ids))
        groups.extend(part[i : i + batch_size] for i in range(0, len(part), batch_size))
    random.shuffle(groups)
    return [_pad(group, pad_id) for group in groups]
