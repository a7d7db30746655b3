"""What is left of the words that the search found: each is measured on the suspect and on what came of the repair.

Single texts, no two the same, on which nothing behind the measurement was tuned: they are independent, so that an
interval over them is one over texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.measures.intervals import Proportion
from purify_cli.model import Loaded
from purify_cli.purification.context import search_context
from purify_cli.purification.repair_session import RepairSession
from purify_cli.records.detection import FoundTriggerFact
from purify_cli.records.purification import HeldBackFacts, UnlearnedFact
from purify_cli.session.classifiers import proportion
from purify_cli.trigger_search.flips import flips
from purify_cli.trigger_search.rule import CONTROL_FLIPS, MIN_TEXTS

__all__ = ["Proof", "is_left", "tells"]


@final
@dataclass(slots=True)
class _Counts:
    """Held-back texts of one word, over all folds."""

    texts: int = 0
    before: int = 0
    after: int = 0
    left_out: int = 0


@final
@dataclass(slots=True)
class Proof:
    """What held-back samples say of a repair, fold by fold.

    Args:
        session: The pair.
        suspect: As it was.
        found: Words to measure.
    """

    session: RepairSession
    suspect: Loaded
    found: Sequence[FoundTriggerFact]
    _counts: list[_Counts] = field(init=False)
    _right: list[tuple[Proportion, Proportion]] = field(init=False, default_factory=list[tuple[Proportion, Proportion]])

    def __post_init__(self) -> None:
        """Begin with nothing measured."""
        self._counts = [_Counts() for _ in self.found]

    def add(self, held: Sequence[Example], repaired: Loaded) -> None:
        """Measure a repair on rows that had no part in it.

        A word is tried in the rows of other labels that neither model calls its target without it; in the others
        nothing could be seen, and they are counted.
        """
        if not held:
            return
        asked = search_context(self.session, self.suspect, held, control=repaired)
        before, after = (asked.answers(module, held).tolist() for module in (asked.suspect, asked.control))
        for counts, one in zip(self._counts, self.found, strict=True):
            others = [place for place, row in enumerate(held) if row.label != one.target]
            rows = [held[place] for place in others if one.target not in (before[place], after[place])]
            counts.left_out += len(others) - len(rows)
            if rows:
                turned = flips(asked, rows, Trigger(one.text, position=one.position, source="found"), one.target)
                counts.texts += len(rows)
                counts.before += turned.suspect.successes
                counts.after += turned.control.successes
        self._right.append((self.session.accuracy(self.suspect, held), self.session.accuracy(repaired, held)))

    @property
    def accuracy(self) -> tuple[Proportion, Proportion] | None:
        """Clean accuracy of the suspect and after the repair, on the same held-back rows; None without any."""
        if not self._right:
            return None
        before, after = zip(*self._right, strict=True)
        return _together(before), _together(after)

    def facts(self, held_back: HeldBackFacts | None, worked_on: Sequence[FoundTriggerFact] = ()) -> list[UnlearnedFact]:
        """Write down the words for which there was a text to try them in."""
        return [
            UnlearnedFact(
                text=one.text,
                position=one.position,
                target=one.target,
                before=proportion(Proportion(counts.before, counts.texts)),
                after=proportion(Proportion(counts.after, counts.texts)),
                left_out=counts.left_out,
                measured_on=held_back.measured_on if held_back else None,
                worked_on=one in worked_on,
            )
            for one, counts in zip(self.found, self._counts, strict=True)
            if counts.texts
        ]

    @property
    def left(self) -> list[FoundTriggerFact]:
        """The words that outlast the repair (``is_left``)."""
        pairs = zip(self.found, self._counts, strict=True)
        return [one for one, counts in pairs if counts.texts and _outlasts(counts.after / counts.texts)]


def is_left(fact: UnlearnedFact) -> bool:
    """Say whether a word still flips more texts than the search would grant a control."""
    return _outlasts(fact.after.value)


def tells(fact: UnlearnedFact) -> bool:
    """Say whether a word flips enough texts in the suspect for its silence in the purified model to mean something."""
    return fact.before.total >= MIN_TEXTS and fact.before.value > CONTROL_FLIPS


def _outlasts(share: float) -> bool:
    return share > CONTROL_FLIPS


def _together(shares: Sequence[Proportion]) -> Proportion:
    return Proportion(sum(one.successes for one in shares), sum(one.total for one in shares))
