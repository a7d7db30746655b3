"""Repairs of a suspect of which something was flagged, and once more with a trigger that outlasts the repair.

A language model is repaired of the strongest word of each effect first: every word of a text that it is made to write
brings the rest of it about, and goes when the first goes. Whether one outlasts a repair is measured on held-back rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from purify_cli.data.example import Example
from purify_cli.model import LoadedModel
from purify_cli.purification.clean_rows import CleanSplit
from purify_cli.purification.known_search import KnownSearch
from purify_cli.purification.prepared import PreparedDefence
from purify_cli.purification.repair_session import RepairSession
from purify_cli.purification.stages import RepairedModel
from purify_cli.purification.verification import Proof
from purify_cli.training import TrainingResult
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["Done", "Repairer", "Round", "describe_choice", "repair_in_rounds", "worked_on_first"]

Done = tuple[LoadedModel, RepairedModel, TrainingResult | None]
"""As ``PreparedDefence.repair`` returns it."""


@runtime_checkable
class Repairer(Protocol):
    """Repairs the suspect of some words with some rows."""

    def __call__(self, words: Sequence[FoundTrigger], rows: Sequence[Example], *, written: bool) -> Done:
        """Repair and fine-tune; ``written`` says whether this may be the model that is kept."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Round:
    """The last repair, what it worked on, and what held-back rows say of it."""

    loaded: LoadedModel
    repaired: RepairedModel
    training: TrainingResult | None
    worked_on: tuple[FoundTrigger, ...]
    """Empty where the method works on no word."""
    proof: Proof


def worked_on_first(found: Sequence[FoundTrigger]) -> list[FoundTrigger]:
    """Return what a first repair works on: of each target the flagged word that makes the suspect surest, then its kin.

    Of a classifier these are all other flagged ones: a style or a form is many words, each flagged for itself, and
    words that resemble a planted one cost its repair nothing. What a language model is made to write is brought about
    by every word of that text as well, and goes with the first.
    """
    best: list[FoundTrigger] = []
    kin: list[FoundTrigger] = []
    for one in sorted(found, key=lambda one: (-one.strength, -one.contrast)):
        if not any(other.shares_effect(one) for other in best):
            best.append(one)
        elif isinstance(one.target, int):
            kin.append(one)
    return [*best, *kin]


def repair_in_rounds(
    session: RepairSession,
    repair: Repairer,
    split: CleanSplit,
    found: Sequence[FoundTrigger],
    *,
    works_on_words: bool,
    suspect: LoadedModel,
) -> Round:
    """Repair of what is worked on first; where another flagged word outlasts that, again with that one added.

    Args:
        session: The pair.
        repair: Repairs and fine-tunes.
        split: What it may see, and what measures it. Without held-back rows there is one round.
        found: The flagged words; may be empty.
        works_on_words: Whether the method does; if not, there is one round.
        suspect: The suspect as it was.
    """
    words = worked_on_first(found) if works_on_words else []
    while True:
        proof = Proof(session.task, suspect, found)
        done: Done | None = None
        for fold in split.folds:
            done = repair(words, fold.tuned, written=not split.stands_in)
            proof.add(fold.held, done[0])
        further = [one for one in proof.left if works_on_words and one not in words]
        if not further:
            break
        session.progress.note(
            f"{', '.join(repr(one.text) for one in further)} outlasted it: once more, with all of them"
        )
        words = [*words, *further]
    if done is None or split.stands_in:
        done = repair(words, split.tuned, written=True)
    return Round(*done, worked_on=tuple(words), proof=proof)


def describe_choice(defence: PreparedDefence, known: KnownSearch) -> str:
    """Say which method works on which words, or why on none: what ``auto`` chose is not to be guessed."""
    name = f"method {defence.method}"
    if defence.works_on_triggers:
        return f"{name} of {', '.join(repr(one.text) for one in worked_on_first(known.triggers))}"
    if known.triggers:
        return f"{name}: {', '.join(repr(one.text) for one in known.triggers)}, which detect found, left alone"
    if not known.detected:
        return f"{name}: no record of a detection was read, so no planted word is known"
    return f"{name}: detect " + ("flagged no word" if known.texts else "did not search for words")
