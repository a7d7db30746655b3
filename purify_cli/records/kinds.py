"""Every record by the name of its kind."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from purify_cli.records.attack import AttackRecord
from purify_cli.records.base import Record
from purify_cli.records.detection import Detection
from purify_cli.records.evaluation import Evaluation
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification

__all__ = [
    "RECORDS",
]


RECORDS: Final[Mapping[str, type[Record]]] = MappingProxyType(
    {
        "detection": Detection,
        "purification": Purification,
        "attack": AttackRecord,
        "finetune": FinetuneRecord,
        "evaluation": Evaluation,
    }
)
"""Record types by their ``kind``."""
