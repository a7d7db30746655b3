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
from purify_cli.data.triggers import Trigger, insert_in_view
from purify_cli.evaluation.forward import predict
from purify_cli.measures.intervals import Proportion

__all__ = ["Asked", "Flips", "flips", "unturned"]


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


def unturned(asked: Asked, target: int) -> list[Example]:
    """Return the rows of other labels that neither model calls the target: what a string could turn over."""
    rows = [row for row in asked.rows if row.label != target]
    if not rows:
        return []
    called = [asked.answers(module, rows) == target for module in (asked.suspect, asked.control)]
    return [row for row, turned in zip(rows, (called[0] | called[1]).tolist(), strict=True) if not turned]


def flips(asked: Asked, rows: Sequence[Example], trigger: Trigger, target: int) -> Flips:
    """Insert a string into rows and count those that are then called the target.

    Args:
        asked: Suspect and control.
        rows: At least one, as ``unturned`` gives them.
        trigger: The string; where it goes is decided row by row, by the seed.
        target: The label.
    """
    carrying = [
        insert_in_view(asked.tokenizer, trigger, row, key=row_key(asked.seed, place), max_length=asked.max_length)
        for place, row in enumerate(rows)
    ]
    turned = [int((asked.answers(module, carrying) == target).sum()) for module in (asked.suspect, asked.control)]
    return Flips(*(Proportion(count, len(rows)) for count in turned))
