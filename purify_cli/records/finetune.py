"""What ``purify finetune`` writes down."""

from typing import Literal

from purify_cli.inputs.identity import DataFacts, ModelFacts
from purify_cli.records.base import Record, TrainingFacts

__all__ = [
    "FinetuneRecord",
]


class FinetuneRecord(Record, frozen=True):
    """``finetune.json``: what ``purify finetune`` trained."""

    kind: Literal["finetune"] = "finetune"
    start: ModelFacts
    reference: ModelFacts | None
    data: DataFacts
    training: TrainingFacts
    output: ModelFacts
