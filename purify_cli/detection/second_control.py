"""A second student, which had no say in what was found by contrast with the first."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import final

from purify_cli.detection.control import another_control
from purify_cli.purification.repair_session import RepairSession
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.rule import level_of
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

    def held_against(self, found: Sequence[VerifiedTrigger]) -> list[VerifiedTrigger]:
        """Measure what is flagged against the second student instead; the rest is returned as it is.

        Raises:
            SearchImpossible: If the second student did not learn the task.
            TrainingDiverged: If it cannot be taught.
        """
        flagged = [one for one in found if level_of(one.flips.apart) != "no-finding"]
        again = [
            replace(one, second_student=True)
            for target in dict.fromkeys(one.target for one in flagged)
            for one in verified(
                self._judging,
                target,
                [(one.trigger, one.shift, one.control_shift) for one in flagged if one.target == target],
            )
        ]
        return [*again, *(one for one in found if one not in flagged)]

    @cached_property
    def _judging(self) -> SearchInputs:
        student = another_control(self._session, self._asked)
        return replace(self._asked.halves.judging, control=student.module)
