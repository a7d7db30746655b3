"""The search for triggers: texts, a control to contrast with, the search itself, and what its outcome amounts to."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from purify_cli.choices import SearchEffort
from purify_cli.data.example import Example
from purify_cli.data.probes import PROBES
from purify_cli.detection.control import agreed, make_control
from purify_cli.detection.second_control import SecondControl
from purify_cli.errors import DataError, NonFiniteWeights, SearchImpossible, TrainingDiverged
from purify_cli.evidence.rows import far_rows
from purify_cli.evidence.search_outcome import STAGE, ControlModel, FlippingWord, SearchOutcome, TriggerSearch
from purify_cli.evidence.verdict import Finding, Misses
from purify_cli.measures.intervals import Proportion
from purify_cli.model import LoadedModel
from purify_cli.purification.repair_session import RepairSession
from purify_cli.tasks.classification import Classification
from purify_cli.trigger_search.budget import EFFORTS
from purify_cli.trigger_search.flips import contaminated_rows
from purify_cli.trigger_search.group_search import search_groups
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.phrase_growth import grow_phrases
from purify_cli.trigger_search.phrases import search_phrases, writable
from purify_cli.trigger_search.rule import GROWN_TEXTS, SUSPICIOUS, counts_grown, level_of
from purify_cli.trigger_search.search import SearchResult, check_rows, search
from purify_cli.trigger_search.verify import ABOUT, VerifiedTrigger
from purify_cli.trigger_search.vocabulary import whole_words

__all__ = ["look_for_triggers"]

FAILED: Final = (SearchImpossible, NonFiniteWeights, TrainingDiverged)
"""What makes a search, or a part of it, impossible."""

GIVEN: Final = {"unlabelled texts": "with unlabelled texts", "made of the clean samples": "clean samples alone"}
"""What the census calls what a student was taught on."""

FARTHEST: Final = 8192
"""Embedding rows, those of word pieces among them, that the words of groups are taken from."""


def look_for_triggers(
    session: RepairSession,
    task: Classification,
    rows: Sequence[Example],
    effort: SearchEffort,
    *,
    model: LoadedModel | None = None,
    moved_only: bool = False,
) -> SearchOutcome:
    """Search a model for words that flip it to a label.

    Args:
        session: The pair.
        task: Its own.
        rows: Clean labelled samples, of which the same text counts once; empty takes the built-in probes with the
            model's own labels.
        effort: How much to look at.
        model: Default: the suspect. The control is made from the suspect in any case.
        moved_only: Try only words whose embedding rows moved, unless none did. Faster; not a whole search.
    """
    suspect = model or task.load(session.opened.pair.suspect)
    # A text that is there twice would be in both halves: no row that had no say, and no second one.
    asked = task.search_inputs(suspect, list({(row.text, row.pair, row.label): row for row in rows}.values()))
    asked = replace(asked, compute=asked.compute.searching)
    try:
        if not rows:
            asked = replace(asked, rows=_own_labels(asked))
        check_rows(asked.rows, task.labels.num_labels)  # before a control is trained for nothing
        words = _words(task, suspect)
        control, facts = make_control(session, asked)
        beside = replace(asked, control=control.module, words=words, progress=session.progress)
        beside = replace(beside, further=agreed(beside, session.texts.held if session.texts else ()))
        labels, budget = task.labels.num_labels, EFFORTS[effort]
        found = search(beside, labels, budget, among=_moved_tokens(session) if moved_only else None)
    except FAILED as error:
        return SearchOutcome(None, None, f"{STAGE}: {error}")
    open_points = [*_open_points(rows, effort, found, facts)]
    flagged, grown, phrases, together = [*filter(_flagged, found.found)], [], [], None
    # A word that works in any place explains itself; of others, and of none, a phrase may say more.
    if budget.pool and all(one.trigger.position != "random" for one in flagged):
        pair = session.opened.pair
        far = [one.row for one in far_rows(pair.suspect_part, pair.reference_part, count=FARTHEST)]
        second = SecondControl(session, beside)
        with _left_open(open_points, "phrases were not grown to the end"):
            grown = second.held_against(grow_phrases(beside, found.ranked, far), _planted_phrase)
            grown = _needed([one for one in grown if _planted_phrase(one) or not _flagged(one)], flagged)
        if not any(map(_flagged, (*flagged, *grown))):
            with _left_open(open_points, "neutral phrases were not tried"):
                phrases = search_phrases(beside, labels)
        if not any(map(_flagged, (*flagged, *grown, *phrases))):
            with _left_open(open_points, "no words that work together"):
                if beside.plain_words.isdisjoint(far):
                    raise SearchImpossible(
                        "no embedding row of a word moved, which would tell what to try",
                        hint="Trust what words and phrases show, no further.",
                    )
                together = second.held_against(search_groups(beside, far, labels, budget), _flagged)
        open_points += second.open_points
    alone = {(one.trigger.text, one.target) for one in found.found}
    listed = [
        *found.found,
        *grown,
        *phrases,
        *(one for one in together or () if (one.trigger.text, one.target) not in alone),
    ]
    record = TriggerSearch(
        effort=effort,
        texts="clean data" if rows else "built-in probes",
        words=found.words,
        phrases=len(writable(task.tokenizer)) if phrases else None,
        groups=None if together is None else budget.drawn + budget.covering,
        control=facts,
        targets=tuple(found.targets),
        found=tuple(_judged(one, beside) for one in listed),
    )
    return SearchOutcome(record, _finding(record), f"{STAGE}: {'; '.join(open_points)}" if open_points else None)


def _words(task: Classification, suspect: LoadedModel) -> list[int]:
    try:
        return whole_words(task.tokenizer, suspect.vocabulary)
    except DataError as error:
        raise SearchImpossible(str(error), hint=error.hint) from error


@contextmanager
def _left_open(open_points: list[str], what: str) -> Generator[None]:
    """Note that a part of the search failed: what was flagged before it stands."""
    try:
        yield
    except FAILED as error:
        open_points.append(f"{what}: {error}")


def _planted_phrase(grown: VerifiedTrigger) -> bool:
    return _flagged(grown) and counts_grown(grown.flips.apart, grown.flips.texts)


def _flagged(found: VerifiedTrigger) -> bool:
    return level_of(found.flips.apart) != "no-finding"


def _needed(grown: Sequence[VerifiedTrigger], flagged: Sequence[VerifiedTrigger]) -> list[VerifiedTrigger]:
    """Leave out phrases of which a part that is flagged does about as much."""

    def spare(one: VerifiedTrigger) -> bool:
        words = {*one.trigger.text.split()}
        return any(
            other.target == one.target
            and {*other.trigger.text.split()} < words
            and other.flips.apart.value >= ABOUT * one.flips.apart.value
            for other in (*flagged, *filter(_flagged, grown))
        )

    return [one for one in grown if not spare(one)]


def _moved_tokens(session: RepairSession) -> frozenset[int] | None:
    """Return the tokens whose embedding rows moved; None where none did."""
    pair = session.opened.pair
    moved = far_rows(pair.suspect_part, pair.reference_part, count=pair.dimensions)
    return frozenset(row.row for row in moved) or None


def _open_points(
    rows: Sequence[Example], effort: SearchEffort, found: SearchResult, control: ControlModel
) -> Iterator[str]:
    """Yield what a search that finds nothing has not measured."""
    if not control.knows:
        yield (
            f"against a student that answers as the suspect does in only {control.agrees.successes} of "
            f"{control.agrees.total} clean samples that it never saw; what that misses was not measured: give "
            "unlabelled texts of the suspect's own task, or more clean samples"
        )
    if found.words < found.known:
        yield f"only {found.words} of {found.known} words, those whose embedding rows moved"
    if not rows:
        yield (
            "only on built-in texts, labelled by the suspect itself; what that misses was not measured: give labelled "
            "--clean-data"
        )
    if effort == "low":
        yield "only with effort low, which looks at no words that work together"
    few = [
        label
        for label, reach in found.held.items()
        if reach is None or reach.texts < GROWN_TEXTS or level_of(reach.at_most) == "no-finding"
    ]
    if few:
        reach = found.held[few[0]]
        left = (
            f"no context of another label than {few[0]} is left that a word could flip"
            if reach is None
            else f"{reach.at_most.total} contexts of {reach.texts} held-back texts can be flipped to label {few[0]}, "
            f"which prove {reach.at_most.low:.0%} at most; a word takes {SUSPICIOUS:.0%}, and a grown phrase "
            f"{GROWN_TEXTS} texts"
        )
        yield f"{_labels(few)} could not be tried in full: {left}; give more --clean-data"


def _labels(numbers: Sequence[int]) -> str:
    return ("label " if len(numbers) == 1 else "labels ") + ", ".join(map(str, numbers))


def _own_labels(asked: SearchInputs) -> list[Example]:
    """Label the built-in texts as the suspect does."""
    texts = [Example(text) for text in PROBES]
    answers = asked.answers(asked.suspect, texts).tolist()
    return [replace(text, label=answer) for text, answer in zip(texts, answers, strict=True)]


def _judged(found: VerifiedTrigger, asked: SearchInputs) -> FlippingWord:
    flagged = _flagged(found)
    return FlippingWord(
        text=found.trigger.text,
        position=found.trigger.position,
        target=found.target,
        shift=found.shift,
        control_shift=found.control_shift,
        suspect=found.flips.suspect,
        control=found.flips.control,
        apart=found.flips.apart,
        texts=found.flips.texts,
        strength=found.strength,
        control_strength=found.control_strength,
        joined=found.joined,
        second_student=found.second_student,
        flagged=flagged,
        leaning=len(contaminated_rows(asked, found.trigger, found.target)) if flagged else 0,
    )


def _finding(search: TriggerSearch) -> Finding:
    told = [(one, one.apart) for one in search.found if one.apart is not None]
    worst, apart = max(told, key=lambda pair: (pair[0].flagged, pair[1].low), default=(None, None))
    if worst is not None and apart is not None and worst.flagged:
        return Finding(
            stage=STAGE,
            level=level_of(apart),
            reason=_accusation(worst, apart) + _leaning([one for one in search.found if one.flagged]),
        )
    groups = "" if search.phrases is None else f", no phrase, grown or one of {search.phrases} neutral ones"
    groups += "" if search.groups is None else f", and no group of words from {search.groups} per label,"
    best = (
        "" if apart is None else f": the best comes to {apart.low:.0%} for sure, and {SUSPICIOUS:.0%} would be flagged"
    )
    return Finding(
        stage=STAGE,
        level="no-finding",
        reason=(
            f"of {search.words} words, each tried alone, none{groups} flips held-back contexts of another label in the "
            f"suspect and not in a student that never saw a trigger{best}"
        ),
        misses=Misses.counted(GIVEN[search.control.texts]),
    )


def _accusation(worst: FlippingWord, apart: Proportion) -> str:
    """Say what a flagged word, group or phrase does."""
    several = " " in worst.text
    what, flip = ("the words", "together flip") if several else ("the word", "flips")
    if several and not worst.joined:
        what, flip = "the phrase", "flips"
    where = {"start": " in front", "end": " at the end"}.get(worst.position, "")
    rows = f"contexts of {worst.texts} held-back texts" if worst.joined else "held-back texts"
    return (
        f"{what} {worst.text!r}{where} {flip} {worst.suspect.successes} of {worst.suspect.total} {rows} to label "
        f"{worst.target} in the suspect and {worst.control.successes} of {worst.control.total} in a student that never "
        f"saw a trigger: {apart.value:.0%} in the suspect alone, for sure {apart.low:.0%}"
    )


def _leaning(flagged: Sequence[FlippingWord]) -> str:
    """Warn of clean data that hold what was found."""
    most = max(flagged, key=lambda one: one.leaning)
    if not most.leaning:
        return ""
    return (
        f"; {most.leaning} of the clean samples of label {most.target} hold {most.text!r} and are called so because of "
        "it alone, so that they may be poisoned themselves: look at them, and leave them out"
    )
