"""What is left of the words that the search found: each is measured on the suspect and on the purified model."""

from collections.abc import Sequence

from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.detection.planted import KEPT
from purify_cli.inversion.measured import flips, unturned
from purify_cli.model import Loaded
from purify_cli.pipelines.models import proportion
from purify_cli.pipelines.search import examined
from purify_cli.pipelines.workbench import Workbench
from purify_cli.report.schema import FoundTriggerFact, UnlearnedFact

__all__ = ["is_left", "measured_again"]


def measured_again(
    bench: Workbench,
    rows: Sequence[Example],
    found: Sequence[FoundTriggerFact],
    before: Loaded,
    after: Loaded,
    *,
    worked_on: Sequence[FoundTriggerFact] = (),
) -> list[UnlearnedFact]:
    """Try every found word on the suspect and on the purified model, on rows that neither calls its target as they are.

    A word without such a row is left out.
    """
    asked = examined(bench, before, rows, control=after)
    facts: list[UnlearnedFact] = []
    for one in found:
        if rows_left := unturned(asked, one.target):
            turned = flips(asked, rows_left, Trigger(one.text, position=one.position, source="found"), one.target)
            facts.append(
                UnlearnedFact(
                    text=one.text,
                    position=one.position,
                    target=one.target,
                    before=proportion(turned.suspect),
                    after=proportion(turned.control),
                    worked_on=one in worked_on,
                )
            )
    return facts


def is_left(fact: UnlearnedFact) -> bool:
    """Say whether a word still turns over more texts than the search would grant a control."""
    return fact.after.value > KEPT
