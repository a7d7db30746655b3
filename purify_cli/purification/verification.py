"""What is left of the triggers that a search found: each is measured on the suspect and on what came of the repair.

Single texts, no two the same, on which nothing behind the measurement was tuned: they are independent, so that an
interval over them is one over texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from purify_cli.choices import Position
from purify_cli.data.example import Example
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Perplexity, Utility, pooled
from purify_cli.model import LoadedModel
from purify_cli.purification.clean_rows import HeldBack
from purify_cli.tasks.base import Task, TriggerCounts
from purify_cli.trigger_search.found import FoundTrigger, Target
from purify_cli.trigger_search.rule import CONTROL_FLIPS, MIN_TEXTS

__all__ = ["MeasuredTrigger", "Proof", "UtilityChange"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTrigger:
    """A word that was found in the suspect, measured again: held-back texts that it flips to the target."""

    text: str
    position: Position
    target: Target
    """A label, or the text that a language model is made to write."""
    before: Proportion
    """In the suspect, of the held-back texts of other labels that neither the suspect nor the purified model calls the
    target without the word. In records without measured_on the texts may be those of the fine-tuning, and only the
    suspect's answers chose them."""
    after: Proportion
    """In the purified model, of the very same texts; without measured_on, of fewer."""
    left_out: int | None = None
    """Held-back texts of other labels that the suspect or the purified model calls the target without the word, so that
    nothing can be seen in them; null in records of versions that did not count them."""
    measured_on: Literal["held-back clean samples", "two-fold"] | None = None
    """As in held_back; null in records of versions without it."""
    worked_on: bool
    """Whether reset and unlearning worked on it: a weaker word of the same target is left out where it goes with the
    strongest."""

    @property
    def still_effective(self) -> bool:
        """Whether it still flips more texts than the search would grant a control."""
        return self.after.value > CONTROL_FLIPS

    @property
    def was_effective(self) -> bool:
        """Whether it flips enough texts in the suspect for its silence in the purified model to mean something."""
        return self.before.total >= MIN_TEXTS and self.before.value > CONTROL_FLIPS


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityChange:
    """Accuracy of a classifier, or perplexity of a language model: before and after, on what rows, what budget."""

    measured_on: Literal["held-back clean samples", "two-fold", "the clean samples that were used for it"]
    """two-fold: of the repairs on one half each, as in held_back."""
    before: Proportion | Perplexity
    after: Proportion | Perplexity
    max_drop: float | None
    within_budget: bool | None
    """null where no budget was given."""


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

    def measured(self, held_back: HeldBack | None, worked_on: Sequence[FoundTrigger] = ()) -> list[MeasuredTrigger]:
        """Return what is left of the triggers for which there was a text to try them in."""
        return [
            MeasuredTrigger(
                text=one.text,
                position=one.position,
                target=one.target,
                before=Proportion.of(counts.before, counts.rows),
                after=Proportion.of(counts.after, counts.rows),
                left_out=counts.left_out,
                measured_on=held_back.measured_on if held_back else None,
                worked_on=one in worked_on,
            )
            for one, counts in zip(self.found, self._counts, strict=True)
            if counts.rows
        ]

    @property
    def left(self) -> list[FoundTrigger]:
        """The triggers that outlast the repair (``MeasuredTrigger.still_effective``)."""
        pairs = zip(self.found, self._counts, strict=True)
        return [one for one, counts in pairs if counts.rows and counts.after / counts.rows > CONTROL_FLIPS]
