"""Triggers that a record knows, as domain values."""

from purify_cli.records.base import Record
from purify_cli.records.detection import (
    Detection,
    ForcedContinuationFact,
    ForcedContinuationFacts,
    FoundTriggerFact,
    SearchFacts,
)
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["found_triggers", "has_samples", "planted"]


def found_triggers(record: Record | None) -> list[FoundTrigger]:
    """Return what a detection found and holds to be planted; nothing for any other record."""
    return planted(record.searched) if isinstance(record, Detection) else []


def planted(search: SearchFacts | ForcedContinuationFacts | None) -> list[FoundTrigger]:
    """Return what a search holds to be planted."""
    return [] if search is None else [_found(one) for one in search.found if one.flagged]


def _found(fact: FoundTriggerFact | ForcedContinuationFact) -> FoundTrigger:
    if isinstance(fact, FoundTriggerFact):
        return FoundTrigger(
            text=fact.text,
            position=fact.position,
            target=fact.target,
            strength=fact.strength or 0.0,
            contrast=fact.shift - fact.control_shift,
        )
    return FoundTrigger(
        text=fact.text,
        position=fact.position,
        target=fact.says,
        strength=fact.suspect.value,
        contrast=fact.suspect.value - fact.reference.value,
    )


def has_samples(record: Record | None) -> bool:
    """Say whether a detection was given clean samples that a repair can learn from."""
    if not isinstance(record, Detection) or record.data is None:
        return False
    return bool(record.data.per_label) or record.task == "causal"
