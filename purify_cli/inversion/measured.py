"""What a found string does to texts that the search never saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from purify_cli.data.batches import encode
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger
from purify_cli.evaluation.forward import predict
from purify_cli.measures.intervals import Proportion

__all__ = ["Asked", "Flips", "flips"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whom the strings are tried on."""

    suspect: nn.Module
    control: nn.Module
    tokenizer: PreTrainedTokenizerBase
    rows: Sequence[Example]
    """Labelled."""
    batch_size: int
    max_length: int
    pad_id: int
    device: torch.device
    seed: int

    def answers(self, module: nn.Module, rows: Sequence[Example]) -> Tensor:
        """Classify rows; shape (n,)."""
        encoded = encode(self.tokenizer, rows, max_length=self.max_length)
        found, _ = predict(
            module, encoded, batch_size=self.batch_size, pad_id=self.pad_id, device=self.device, dtype=torch.float32
        )
        return found


@final
@dataclass(frozen=True, slots=True)
class Flips:
    """Rows that a string turns over to a target, among those that neither model calls so without it."""

    suspect: Proportion
    control: Proportion


def flips(asked: Asked, trigger: Trigger, target: int) -> Flips | None:
    """Insert a string into rows of other labels and count those that are then called the target.

    Only rows that neither model calls the target as they are count: a string cannot turn over what is turned already.

    Returns:
        None if there is no such row.
    """
    rows = [row for row in asked.rows if row.label != target]
    if not rows:
        return None
    plain = [asked.answers(module, rows) == target for module in (asked.suspect, asked.control)]
    left = [row for row, called in zip(rows, (plain[0] | plain[1]).tolist(), strict=True) if not called]
    if not left:
        return None
    carrying = [trigger.insert(row, key=row_key(asked.seed, place)) for place, row in enumerate(left)]
    turned = [int((asked.answers(module, carrying) == target).sum()) for module in (asked.suspect, asked.control)]
    return Flips(*(Proportion(count, len(left)) for count in turned))
