"""The clean samples of a repair: which are read, and which are held back to measure what came of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

from purify_cli.data.example import Example
from purify_cli.data.sampling import held_places, hold_out
from purify_cli.errors import DataError, RunFolderError, UsageError
from purify_cli.inputs.identity import DataFacts, data_facts
from purify_cli.inputs.task import read_clean
from purify_cli.purification.known_search import KnownSearch
from purify_cli.purification.plan import Plan
from purify_cli.requests.purify import PurifyRequest
from purify_cli.student.texts import TeachingTexts, unlabelled_texts
from purify_cli.tasks.base import Task

__all__ = ["CleanSplit", "Fold", "HeldBack", "clean_rows", "split_rows", "texts_to_teach", "unsplit", "with_validation"]

HELD_BACK: Final = 0.25
"""Share of the clean samples kept from curvature and tuning where what comes of the repair is to be measured. Ours."""

FEW: Final = 16
"""With fewer samples a quarter would leave next to nothing to measure on: the repair is then tried on each half and
measured on the other. Ours."""


CHOOSING: Final = 4
"""Samples that can choose a number of steps, at least: the loss on fewer says little. Ours."""


@final
@dataclass(frozen=True, slots=True)
class Fold:
    """A repair to be measured."""

    tuned: Sequence[Example]
    """What curvature, tuning and unlearning see."""
    held: Sequence[Example]
    """What they do not; empty where nothing is held back."""


@final
@dataclass(frozen=True, slots=True)
class HeldBack:
    """The clean samples that measure a repair: no curvature, tuning or unlearning behind the measurement saw them."""

    measured_on: Literal["held-back clean samples", "two-fold"]
    """two-fold, of fewer than 16 samples: the same repair is done on one half and measured on the other, and the other
    way round where no search chose its words on the samples; the written model is tuned on all."""
    rows: tuple[int, ...]
    """Their numbers among the clean samples, counted from 1; every text once."""
    seed: int
    """Decides which; that of the search where it chose its words on the same samples."""
    searched: bool
    """Whether a search chose its words on the same samples: these are then of the half that it did not choose on."""


@final
@dataclass(frozen=True, slots=True)
class CleanSplit:
    """Which clean samples the written model is repaired with, and the repairs that are measured on others."""

    tuned: Sequence[Example]
    folds: tuple[Fold, ...]
    """One with the same ``tuned``, which is the written model itself; else others, which stand in for it."""
    held_back: HeldBack | None
    """None where nothing is held back."""

    @property
    def stands_in(self) -> bool:
        """Whether the folds are other repairs than the one that is written."""
        return self.folds[0].tuned is not self.tuned


def clean_rows(
    request: PurifyRequest, known: KnownSearch, plan: Plan, task: Task
) -> tuple[list[Example], DataFacts | None]:
    """Read the clean samples: those given, else those that detect used.

    Raises:
        DataError: If they cannot be read, or are too few or of one class.
        RunFolderError: If those that detect used have changed.
        UsageError: If there are none, and something that was asked for needs some.
    """
    given, promised = request.clean_data, None
    if given is None and known.samples is not None:
        promised, given = known.samples, known.samples.path
    if given is None:
        searched = plan.ratio == "auto"
        needing = (request.finetune, searched, request.max_drop is not None, request.self_test)
        if any(needing) or request.estimator != "auto":
            raise UsageError(
                "fine-tuning, --ratio auto, --max-drop, --self-test and --estimator need clean samples",
                hint=f"Give --clean-data FILE (8 to 64 {task.samples}), or --no-finetune to stop after the reset.",
            )
        return [], None
    rows = read_clean(given, task, request.common, progress=request.progress)
    task.require_rows(rows)
    if request.self_test and len(rows) < FEW:
        raise UsageError(
            f"{len(rows)} clean samples are too few for --self-test",
            hint=f"Give {FEW} or more: a quarter is held back to measure on.",
        )
    facts = data_facts(given, rows)
    if promised is not None and promised.sha256 != facts.sha256:
        raise RunFolderError(
            f"{given} has changed since `purify detect` read it", hint="Run detect again, or give --clean-data."
        )
    return rows, facts


def texts_to_teach(
    request: PurifyRequest, unlabelled: Sequence[Example], rows: Sequence[Example], known: KnownSearch
) -> TeachingTexts | None:
    """Leave out of the unlabelled texts what has a clean sample's words or a flagged trigger in it."""
    if not unlabelled:
        return None
    texts = unlabelled_texts(unlabelled, rows, found=known.triggers, seed=request.common.compute.seed)
    if texts.triggered:
        request.progress.note(f"{texts.triggered} unlabelled texts hold a flagged trigger: they are left out")
    return texts


def unsplit(rows: Sequence[Example]) -> CleanSplit:
    """Hold nothing back."""
    return CleanSplit(rows, (Fold(rows, ()),), None)


def split_rows(rows: Sequence[Example], task: Task, *, seed: int, searched: int | None = None) -> CleanSplit:
    """Hold a quarter of every class back; of fewer than ``FEW`` rows, one half for the other in turn.

    Rows on which a search chose its words are none to measure these on. The search chooses on what
    ``hold_out(rows, 0.5, its seed)`` leaves of the different rows, and both shares are the first rows of one order:
    with the search's seed a quarter lies within the half that it did not choose on. What is there twice counts once.

    Args:
        rows: Clean samples.
        task: Says which rows are enough to tune on.
        seed: Decides which rows.
        searched: The seed of a search that chose on these rows, in the place of ``seed``.
    """
    used = seed if searched is None else searched
    places = list({(row.text, row.pair, row.label): place for place, row in reversed([*enumerate(rows)])}.values())
    places.sort()
    share = HELD_BACK if len(places) >= FEW else 0.5
    held = {places[i] for i in held_places([rows[place] for place in places], share, used)}
    rest = [place for place in places if place not in held]
    labels = Counter((rows[place].text, rows[place].pair) for place in places)  # one text may have several
    kept = [place for place in places if place in held and labels[rows[place].text, rows[place].pair] == 1]
    pairs = [(rest, kept)] if searched is not None or share == HELD_BACK else [(rest, kept), (kept, rest)]
    usable = [(a, b) for a, b in pairs if b and _enough(task, [rows[place] for place in a])]
    if not usable:
        return unsplit(rows)
    folds = tuple(Fold([rows[place] for place in a], [rows[place] for place in b]) for a, b in usable)
    held_back = HeldBack(
        measured_on="held-back clean samples" if share == HELD_BACK else "two-fold",
        rows=tuple(sorted(place + 1 for _, b in usable for place in b)),
        seed=used,
        searched=searched is not None,
    )
    return CleanSplit(folds[0].tuned if share == HELD_BACK else rows, folds, held_back)


def _enough(task: Task, rows: Sequence[Example]) -> bool:
    try:
        task.require_rows(rows)
    except DataError:
        return False
    return True


def with_validation(rows: Sequence[Example], task: Task, *, seed: int) -> tuple[Sequence[Example], Sequence[Example]]:
    """Take rows that choose the step out of those to tune on; none where these, or those left, are too few."""
    rest, chosen = hold_out(rows, HELD_BACK, seed=seed)
    return (rest, chosen) if len(chosen) >= CHOOSING and _enough(task, rest) else (rows, [])
