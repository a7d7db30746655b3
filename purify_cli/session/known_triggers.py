"""What a detection knows of a suspect, as domain values: all that a repair takes from its record."""

from dataclasses import dataclass, replace
from typing import Self, final

from purify_cli.choices import SearchEffort
from purify_cli.records.base import DataFacts, Record
from purify_cli.records.detection import (
    Detection,
    ForcedContinuationFact,
    ForcedContinuationFacts,
    FoundTriggerFact,
    SearchFacts,
)
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["KnownSearch", "repair_triggers"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSearch:
    """A search for triggers that was made before the repair; of no detection, nothing of it is known."""

    detected: bool = False
    """Whether a detection was read."""
    triggers: tuple[FoundTrigger, ...] = ()
    """Those that are held to be planted, and words of a language model's forced text that go with one."""
    texts: str | None = None
    """What the search looked at; None without a search."""
    effort: SearchEffort = "normal"
    seed: int = 0
    data: DataFacts | None = None
    """The clean data of the detection; None where built-in texts served."""
    samples: DataFacts | None = None
    """The same, where a repair can learn from them: they are labelled, or are texts of a language model."""

    @classmethod
    def of(cls, record: Record | None) -> Self:
        """Read it off a record."""
        if not isinstance(record, Detection):
            return cls()
        search, data = record.searched, record.data
        useful = data is not None and (bool(data.per_label) or record.task == "causal")
        known = cls(detected=True, seed=record.seed, data=data, samples=data if useful else None)
        return known if search is None else known.after(search)

    def after(self, search: SearchFacts | ForcedContinuationFacts) -> Self:
        """Return what is known after a search."""
        return replace(self, triggers=tuple(repair_triggers(search)), texts=search.texts, effort=search.effort)

    def chose_on(self, data: DataFacts | None) -> int | None:
        """Return the seed of a search that chose its words on these very samples; None if it did not."""
        same = data is not None and self.data is not None and self.data.sha256 == data.sha256
        return self.seed if same and self.texts == "clean data" else None


def repair_triggers(search: SearchFacts | ForcedContinuationFacts | None) -> list[FoundTrigger]:
    """Return what a repair works on: what is held to be planted, and words within a text that it brings about."""
    return [] if search is None else [_found(one) for one in search.found if one.flagged or _within(one)]


def _within(fact: FoundTriggerFact | ForcedContinuationFact) -> bool:
    return isinstance(fact, ForcedContinuationFact) and fact.within_text


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
