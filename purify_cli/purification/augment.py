"""What is done with words that the search found: clean rows are made to carry them, to learn from and to score by.

A word is put in three times in a row. The attacker's trigger may be longer than the one word of it that was found (a
sentence), and what answers to the rest of it is hardly reached by a single one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from purify_cli.checkpoint import CheckpointPair
from purify_cli.data.batches import encode
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.data.triggers import Trigger, insert_in_view
from purify_cli.errors import DataError, RunFolderError
from purify_cli.model import Loaded
from purify_cli.progress import SILENT, Progress
from purify_cli.records.base import Record
from purify_cli.records.detection import Detection, FoundTriggerFact
from purify_cli.session.opening import Common
from purify_cli.tensors import TensorSource
from purify_cli.trigger_search.path_gradient import TriggeredBatch, path_gradient

__all__ = ["TIMES", "Texts", "carried_gradient", "check_targets", "found_triggers", "with_triggers"]

TIMES: Final = 3


def found_triggers(record: Record | None) -> list[FoundTriggerFact]:
    """Return what a detection found and holds to be planted; nothing for any other record."""
    if not isinstance(record, Detection) or record.search is None:
        return []
    return [one for one in record.search.found if one.flagged]


def check_targets(found: Sequence[FoundTriggerFact], labels: int) -> None:
    """Refuse a record whose found words aim at labels that the suspect does not have.

    Raises:
        RunFolderError: If one does.
    """
    for one in found:
        if not 0 <= one.target < labels:
            raise RunFolderError(
                f"the record says that {one.text!r} flips texts to label {one.target}, and the suspect has "
                f"{labels} labels",
                hint="Run `purify detect` on this suspect again.",
            )


@final
@dataclass(frozen=True, slots=True)
class Texts:
    """How rows become what the model gets."""

    tokenizer: Tokenizer
    max_length: int
    seed: int

    def carrying(self, one: FoundTriggerFact, row: Example, place: int) -> Example:
        """Put a word into a row, three times in a row and where the model gets to see it."""
        trigger = Trigger(" ".join([one.text] * TIMES), position=one.position, source="found")
        key = row_key(self.seed, place)
        return insert_in_view(self.tokenizer, trigger, row, key=key, max_length=self.max_length)


def with_triggers(rows: Sequence[Example], found: Sequence[FoundTriggerFact], texts: Texts) -> list[Example]:
    """Return the rows, and a copy of each that carries one of the found words under the row's own label."""
    drawn = [found[row_key(texts.seed, place, "unlearn") % len(found)] for place in range(len(rows))]
    pairs = zip(drawn, rows, strict=True)
    return [*rows, *(texts.carrying(one, row, place) for place, (one, row) in enumerate(pairs))]


def carried_gradient(
    pair: CheckpointPair,
    loaded: Loaded,
    rows: Sequence[Example],
    found: Sequence[FoundTriggerFact],
    *,
    texts: Texts,
    pad_id: int,
    common: Common,
    progress: Progress = SILENT,
) -> TensorSource:
    """Return the gradient of what the found words do to rows of other labels, on the way to the reference.

    Args:
        pair: Suspect and reference.
        loaded: The suspect, a classifier of its own; of no use afterwards.
        rows: Clean labelled samples.
        found: At least one word.
        texts: How rows become what the model gets.
        pad_id: Token id of the padding.
        common: Batch size and device.
        progress: Told of every pass.

    Raises:
        DataError: If for no word there is a row of another label than its target.
    """
    driven: list[TriggeredBatch] = []
    for one in found:
        others = [texts.carrying(one, row, place) for place, row in enumerate(rows) if row.label != one.target]
        if others:
            driven.append(TriggeredBatch(encode(texts.tokenizer, others, max_length=texts.max_length), one.target))
    if not driven:
        raise DataError(
            "no clean sample has another label than the one that the found words drive to",
            hint="Give clean samples of every label.",
        )
    return path_gradient(
        loaded,
        pair,
        driven,
        batch_size=common.batch_size,
        pad_id=pad_id,
        device=common.runtime.device,
        progress=progress,
    )
