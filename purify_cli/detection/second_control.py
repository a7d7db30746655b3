"""A second student, which had no say in what was found by contrast with the first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import final

from purify_cli.detection.control import another_control
from purify_cli.errors import SearchImpossible, TrainingDiverged
from purify_cli.evidence.search_outcome import ControlModel
from purify_cli.purification.repair_session import RepairSession
from purify_cli.trigger_search.flips import Reach, unflipped
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.rule import GROWN_TEXTS, level_of
from purify_cli.trigger_search.verify import VerifiedTrigger, verified

__all__ = ["SecondControl"]


@final
class SecondControl:
    """Measures once more what was chosen among very many phrases or groups; taught when there is something to measure.

    What is chosen for flipping the suspect and not one student is chosen for what this student happens not to know as
    well: a phrase of opinion flipped 11 of 11 contexts of an unpoisoned suspect and 2 in its student, and 5 of 10 in
    another student.

    Args:
        session: Of the suspect.
        asked: With the first control.
    """

    def __init__(self, session: RepairSession, asked: SearchInputs) -> None:
        self._session, self._asked = session, asked
        self._judging: SearchInputs | None = None
        self._facts: ControlModel | None = None
        self._failed: str | None = None
        self.open_points: list[str] = []
        """What was flagged and is no longer, though the second student could not tell."""

    def held_against(
        self, found: Sequence[VerifiedTrigger], planted: Callable[[VerifiedTrigger], bool]
    ) -> list[VerifiedTrigger]:
        """Measure what counts as planted against the second student instead; the rest is returned as it is.

        Args:
            found: Phrases or groups, measured against the first student.
            planted: The rule.

        Raises:
            SearchImpossible: If there is something to measure, and the second student cannot be taught.
        """
        flagged = [*filter(planted, found)]
        if not flagged:
            return [*found]
        judging = self._beside(flagged)
        measured: list[VerifiedTrigger] = []
        for target in dict.fromkeys(one.target for one in flagged):
            tried = [(one.trigger, one.shift, one.control_shift) for one in flagged if one.target == target]
            again = [replace(one, second_student=True) for one in verified(judging, target, tried)]
            if not any(map(planted, again)):
                self.open_points += self._doubts(judging, target)
            measured += again
        return [*measured, *(one for one in found if one not in flagged)]

    def _beside(self, flagged: Sequence[VerifiedTrigger]) -> SearchInputs:
        """Teach the student, once, and put it beside the suspect."""
        if self._judging is None and self._failed is None:
            try:
                student, self._facts = another_control(self._session, self._asked)
            except (SearchImpossible, TrainingDiverged) as error:
                self._failed = str(error)
            else:
                self._judging = replace(self._asked.halves.judging, control=student.module)
        if self._judging is None:
            raise SearchImpossible(
                f"{', '.join(repr(one.trigger.text) for one in flagged)} would be flagged, and could not be held "
                f"against a second student: {self._failed}",
                hint="Give unlabelled texts of the suspect's own task, or more clean samples.",
            )
        return self._judging

    def _doubts(self, judging: SearchInputs, target: int) -> Iterator[str]:
        """Yield why an acquittal of all that was flagged for a label is none."""
        facts, left = self._facts, unflipped(judging, target)
        if facts is not None and not facts.knows:
            yield (
                f"what would be flagged for label {target} was held against a second student that answers as the "
                f"suspect does in only {facts.agrees.successes} of {facts.agrees.total} clean samples that it never saw"
            )
        reach = Reach.of(left) if left else None
        if reach is None or reach.texts < GROWN_TEXTS or level_of(reach.at_most) == "no-finding":
            yield (
                f"what would be flagged for label {target} was held against a second student, beside which "
                f"{reach.texts if reach else 0} held-back texts can be flipped: too few; give more --clean-data"
            )
