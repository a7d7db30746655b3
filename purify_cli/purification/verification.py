"""What is left of the triggers that a search found: each is measured on the suspect and on what came of the repair.

Single texts, no two the same, on which nothing behind the measurement was tuned: they are independent, so that an
interval over them is one over texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from purify_cli.data.example import Example
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Utility, pooled
from purify_cli.model import LoadedModel
from purify_cli.records.purification import HeldBackFacts, UnlearnedFact
from purify_cli.session.facts import proportion
from purify_cli.tasks.base import Task, TriggerCounts
from purify_cli.trigger_search.found import FoundTrigger
from purify_cli.trigger_search.rule import CONTROL_FLIPS, MIN_TEXTS

__all__ = ["Proof", "still_effective", "was_effective"]


@final
@dataclass(slots=True)
class Proof:
    """What held-back samples say of a repair, fold by fold.

    Args:
        task: Of the suspect.
        suspect: As it was.
        found: Triggers to measure.
    """

    task: Task
    suspect: LoadedModel
    found: Sequence[FoundTrigger]
    _counts: list[TriggerCounts] = field(init=False)
    _utility: list[tuple[Utility, Utility]] = field(init=False, default_factory=list[tuple[Utility, Utility]])

    def __post_init__(self) -> None:
        """Begin with nothing measured."""
        self._counts = [TriggerCounts() for _ in self.found]

    def add(self, held: Sequence[Example], repaired: LoadedModel) -> None:
        """Measure a repair on rows that had no part in it."""
        if not held:
            return
        counted = self.task.count_triggers(self.found, self.suspect, repaired, held)
        self._counts = [before + more for before, more in zip(self._counts, counted, strict=True)]
        self._utility.append((self.task.utility(self.suspect, held), self.task.utility(repaired, held)))

    @property
    def utility(self) -> tuple[Utility, Utility] | None:
        """Utility of the suspect and after the repair, on the same held-back rows; None without any."""
        if not self._utility:
            return None
        before, after = zip(*self._utility, strict=True)
        return pooled(before), pooled(after)

    def facts(self, held_back: HeldBackFacts | None, worked_on: Sequence[FoundTrigger] = ()) -> list[UnlearnedFact]:
        """Write down the triggers for which there was a text to try them in."""
        return [
            UnlearnedFact(
                text=one.text,
                position=one.position,
                target=one.target,
                before=proportion(Proportion(counts.before, counts.rows)),
                after=proportion(Proportion(counts.after, counts.rows)),
                left_out=counts.left_out,
                measured_on=held_back.measured_on if held_back else None,
                worked_on=one in worked_on,
            )
            for one, counts in zip(self.found, self._counts, strict=True)
            if counts.rows
        ]

    @property
    def left(self) -> list[FoundTrigger]:
        """The triggers that outlast the repair (``still_effective``)."""
        pairs = zip(self.found, self._counts, strict=True)
        return [one for one, counts in pairs if counts.rows and _outlasts(counts.after / counts.rows)]


def still_effective(fact: UnlearnedFact) -> bool:
    """Say whether a word still flips more texts than the search would grant a control."""
    return _outlasts(fact.after.value)


def was_effective(fact: UnlearnedFact) -> bool:
    """Say whether a word flips enough texts in the suspect for its silence in the purified model to mean something."""
    return fact.before.total >= MIN_TEXTS and fact.before.value > CONTROL_FLIPS


def _outlasts(share: float) -> bool:
    return share > CONTROL_FLIPS
