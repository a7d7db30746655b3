"""Repairs of a suspect of which several words were flagged: the strongest first, the others where they outlast it.

Words that resemble a planted one turn texts over as it does, and go when it goes; a backdoor with several triggers
leaves the ones that were not unlearnt. What is unlearnt beside the strongest word takes its share of the fine-tuning,
so that echoes are better left out, and second triggers are not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from purify_cli.data.example import Example
from purify_cli.model import Loaded
from purify_cli.pipelines.repair import Repaired
from purify_cli.pipelines.treatment import Treatment
from purify_cli.pipelines.unlearning import is_left, measured_again
from purify_cli.progress import SILENT, Progress
from purify_cli.report.schema import Detection, FoundTriggerFact, Record, TrainingFacts

__all__ = ["Round", "leaders", "repair_in_rounds", "said"]


@final
@dataclass(frozen=True, slots=True)
class Round:
    """The last repair, and what it worked on."""

    loaded: Loaded
    repaired: Repaired
    training: TrainingFacts | None
    worked_on: tuple[FoundTriggerFact, ...]
    """Empty where the method works on no word."""


def leaders(found: Sequence[FoundTriggerFact]) -> list[FoundTriggerFact]:
    """Return of each target the flagged word that makes the suspect surest.

    Where that word belongs in front of a text, all flagged ones that do: they are ways to begin one kind of sentence.
    """
    best: dict[int, FoundTriggerFact] = {}
    for one in sorted(found, key=lambda one: (-(one.strength or 0.0), one.control_shift - one.shift)):
        best.setdefault(one.target, one)
    kin = [one for one in found if one.position == "start" == best[one.target].position and one is not best[one.target]]
    return [*best.values(), *kin]


def repair_in_rounds(
    make: Callable[[Sequence[FoundTriggerFact]], Treatment],
    found: Sequence[FoundTriggerFact],
    repair: Callable[[Treatment], tuple[Loaded, Repaired, TrainingFacts | None]],
    rows: Sequence[Example],
    *,
    suspect: Loaded,
    progress: Progress = SILENT,
) -> Round:
    """Repair with the leading words; where another flagged word still turns texts over, again with that one added.

    Args:
        make: Prepares the treatment for some words.
        found: The flagged words; may be empty.
        repair: Repairs and fine-tunes.
        rows: Clean labelled samples to try the words on.
        suspect: The suspect as it was.
        progress: Told of a further round.
    """
    words = leaders(found)
    while True:
        treatment = make(words)
        outcome = repair(treatment)
        if not treatment.works_on_triggers:
            return Round(*outcome, worked_on=())
        waiting = [one for one in found if one not in words]
        left = {
            fact.text for fact in measured_again(treatment.bench, rows, waiting, suspect, outcome[0]) if is_left(fact)
        }
        further = [one for one in waiting if one.text in left]
        if not further:
            return Round(*outcome, worked_on=tuple(words))
        progress.note(f"{', '.join(repr(one.text) for one in further)} outlasted it: once more, with all of them")
        words = [*words, *further]


def said(treatment: Treatment, found: Sequence[FoundTriggerFact], record: Record | None) -> str:
    """Say which method works on which words, or why on none: what ``auto`` chose is not to be guessed."""
    name = f"method {treatment.method}"
    if treatment.works_on_triggers:
        return f"{name} of {', '.join(repr(one.text) for one in leaders(found))}"
    if found:
        return f"{name}: {', '.join(repr(one.text) for one in found)}, which detect flagged, left alone"
    if not isinstance(record, Detection):
        return f"{name}: no record of a detection was read, so no planted word is known"
    return f"{name}: detect " + ("flagged no word" if record.search else "did not search for words")
