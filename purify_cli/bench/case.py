"""One suspect, one clean set: the search for each method's ratio, the repairs, and the detection figures.

Equal terms: every method gets the same suspect, the same clean rows and the same fine-tuning (steps, and unless the
plan says otherwise the rate); every ratio is chosen by the same rule from the same folds of the clean rows. The test
rows are not even known here before a repair is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from pydantic import ValidationError

from purify_cli.bench.figures import detection_figures
from purify_cli.bench.grid import Suspect
from purify_cli.bench.measuring import counts, examine
from purify_cli.bench.plan import MethodPlan
from purify_cli.data.example import Example
from purify_cli.detection.search import search_for_triggers
from purify_cli.errors import DataError
from purify_cli.evaluation import Question
from purify_cli.evidence.search_outcome import TriggerSearch, repair_triggers
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Utility
from purify_cli.purification.clean_rows import CleanSplit, split_rows, unsplit
from purify_cli.purification.plan import chosen_method, works_on_triggers
from purify_cli.purification.ratio_search import search_ratio
from purify_cli.purification.repair_rounds import Done, repair_in_rounds, worked_on_first
from purify_cli.purification.repair_session import PreparedDefence, RepairSession
from purify_cli.records.base import Part
from purify_cli.requests.purify import AUTO
from purify_cli.selection.files import read_mask
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["BenchCase"]

EFFORT: Final = "normal"


@final
class _Stored(Part, frozen=True):
    """What a search came to, read back from a row as strictly as from a record."""

    facts: TriggerSearch | None


@final
@dataclass(frozen=True, slots=True)
class BenchCase:
    """A suspect in a repair session, and the clean rows it is repaired with."""

    suspect: Suspect
    session: RepairSession
    rows: Sequence[Example]
    found: Sequence[FoundTrigger] = ()
    """Words that the search flagged, for methods that work on them."""
    failure: str | None = None
    """Why the search failed, if it did: then no method that works on words is measured."""

    def prepare(self, method: MethodPlan) -> PreparedDefence:
        """Prepare a method of the plan; curvature and scores are measured once."""
        return self._prepared(method, worked_on_first(self.found), self._split(method).tuned)

    def _prepared(self, method: MethodPlan, words: Sequence[FoundTrigger], rows: Sequence[Example]) -> PreparedDefence:
        return self.session.prepare(self._name(method), rows, triggers=words, **self._options(method))

    def _works_on_words(self, method: MethodPlan) -> bool:
        return bool(self.found) and works_on_triggers(self._name(method), method.indicator)

    def _split(self, method: MethodPlan) -> CleanSplit:
        """Hold rows back as ``purify`` does, from a method that works on words: they say whether one outlasts it."""
        if not self._works_on_words(method):
            return unsplit(self.rows)
        seed = self.session.common.compute.seed
        return split_rows(self.rows, self.session.task, seed=seed, searched=seed)

    def searched(self, row: Mapping[str, Any]) -> "BenchCase":
        """Return the case with what a stored search came to.

        Raises:
            DataError: If the row is none that this tool wrote.
        """
        if "failed" in row:
            return replace(self, failure=row["failed"]["reason"])
        try:
            stored = _Stored(facts=row["result"]["facts"])
        except ValidationError as error:
            raise DataError(
                f"the search of {self.suspect.name} that the results hold cannot be read: {error.errors()[0]['msg']}",
                hint="Take its row out of the file of results; it is then measured again.",
            ) from error
        return replace(self, found=repair_triggers(stored.facts))

    def _name(self, method: MethodPlan) -> str:
        works_on_words = works_on_triggers(method.name, method.indicator)
        if works_on_words and self.failure is not None:
            raise DataError(f"the search failed: {self.failure}", hint="Measure it again: --retry.")
        if works_on_words and not self.found and method.name != AUTO:
            raise DataError(
                f"the search flagged no word, and {method.title} works on one", hint="The method auto does without."
            )
        return chosen_method(method.name, self.found, texts=False, student=False)

    def _options(self, method: MethodPlan) -> dict[str, Any]:
        shared = self.suspect.plan.bench
        tuning = {"steps": shared.steps, "learning_rate": method.learning_rate or shared.learning_rate}
        settings = {name: str(value) for name, value in {**tuning, **method.settings}.items()}
        return {"indicator": method.indicator, "estimator": method.estimator, "settings": settings}

    def search(self) -> dict[str, Any]:
        """Look for words that flip the suspect, on the clean rows alone."""
        outcome = search_for_triggers(self.session, self.rows, EFFORT)
        return {
            "effort": EFFORT,
            "facts": None if outcome.facts is None else asdict(outcome.facts),
            "level": None if outcome.finding is None else outcome.finding.level,
            "missing": outcome.missing,
        }

    def curve(self, method: MethodPlan) -> dict[str, Any]:
        """Search for the ratio on the clean rows alone; a method without a ratio has no points."""
        shared = self.suspect.plan.bench
        if not self.prepare(method).ratios:
            return {"baseline": None, "points": None, "stop_below": None}
        found = search_ratio(
            self.session,
            self._name(method),
            self._split(method).tuned,
            triggers=worked_on_first(self.found),
            folds=shared.folds,
            seed=self.suspect.seed,
            ratios=method.ratios,
            stop_below=max(shared.max_drops),
            **self._options(method),
        )
        points = [{"ratio": ratio, "accuracy": _accuracy(utility)} for ratio, utility in found.points.items()]
        return {"baseline": _accuracy(found.baseline), "points": points, "stop_below": max(shared.max_drops)}

    def cell(
        self, method: MethodPlan, defence: PreparedDefence, ratio: float | None, question: Question
    ) -> dict[str, Any]:
        """Repair the suspect at a ratio and measure what comes out."""
        split, first = self._split(method), worked_on_first(self.found)

        def repair(words: Sequence[FoundTrigger], rows: Sequence[Example], *, written: bool) -> Done:
            # Without words or with the leading ones the written repair is the one that was prepared for every ratio.
            known = written and (not words or list(words) == first)
            return (defence if known else self._prepared(method, words, rows)).repair(ratio, rows)

        done = repair_in_rounds(
            self.session,
            repair,
            split,
            self.found,
            works_on_words=self._works_on_words(method),
            suspect=self.session.task.load(self.session.opened.pair.suspect),
        )
        repaired, training = done.repaired, done.training
        return {
            **examine(done.loaded, question, self.session.common.compute),
            "reset": repaired.counts.reset,
            "changed": repaired.counts.changed,
            "dimensions": repaired.counts.dimensions,
            "method": self._name(method),
            "worked_on": [one.text for one in done.worked_on],
            "losses": None if training is None else [training.first_loss, training.last_loss],
        }

    def detection(self, detector: str, planted: Path) -> dict[str, Any]:
        """Score an indicator against the dimensions that the attack is known to have changed."""
        defence = self.session.prepare("fine-purifying", self.rows, indicator=detector)
        if defence.scores is None:
            raise AssertionError(f"{detector} gave no scores")
        return detection_figures(defence.scores, read_mask(planted))


def _accuracy(measured: Utility) -> dict[str, Any] | None:
    """Write an accuracy down: a bench is about classifiers."""
    return counts(measured) if isinstance(measured, Proportion) else None
