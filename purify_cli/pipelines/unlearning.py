"""What is done with words that the search found: unlearnt while fine-tuning, and measured before and after.

A found word is put into clean rows whose true labels are kept, so that the fine-tuning teaches the model that the word
says nothing. It is an old remedy (Wang et al., "Neural Cleanse", IEEE S&P 2019, for patches in images), and as good as
what the search found.
"""

from collections.abc import Sequence

from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger
from purify_cli.inversion.measured import flips, unturned
from purify_cli.model import Loaded
from purify_cli.pipelines.models import proportion
from purify_cli.pipelines.search import KEPT, examined
from purify_cli.pipelines.workbench import Workbench
from purify_cli.report.schema import Detection, FoundTriggerFact, Record, UnlearnedFact

__all__ = ["found_triggers", "is_left", "measured_again", "with_triggers"]


def found_triggers(record: Record | None) -> list[FoundTriggerFact]:
    """Return what a detection found and holds to be planted; nothing for any other record."""
    if not isinstance(record, Detection) or record.search is None:
        return []
    return [one for one in record.search.found if one.flagged]


def with_triggers(rows: Sequence[Example], found: Sequence[FoundTriggerFact], seed: int) -> list[Example]:
    """Return the rows, and a copy of each with one of the found words put in and its true label kept."""
    if not found:
        return list(rows)
    carrying = [
        Trigger(found[row_key(seed, place, "unlearn") % len(found)].text, position="random", source="found").insert(
            row, key=row_key(seed, place)
        )
        for place, row in enumerate(rows)
    ]
    return [*rows, *carrying]


def measured_again(
    bench: Workbench, rows: Sequence[Example], found: Sequence[FoundTriggerFact], before: Loaded, after: Loaded
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
                )
            )
    return facts


def is_left(fact: UnlearnedFact) -> bool:
    """Say whether a word still turns over more texts than the search would grant a control."""
    return fact.after.value > KEPT
