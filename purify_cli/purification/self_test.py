"""What a repair does to triggers that nobody names: backdoors of our own, planted in a copy and repaired likewise.

One copy of the suspect is taught a word, a sentence, a form and a style of ours beside what it answers already. The
repair that makes the purified model, which knows of none of them, is done to the copy. What is left is measured on
clean samples that neither of the two saw.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from purify_cli.data.decoys import Decoy, DecoyKind, decoys
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.errors import DataError
from purify_cli.measures.intervals import Proportion
from purify_cli.model import LoadedModel
from purify_cli.purification.clean_rows import split_rows
from purify_cli.purification.repair_session import RepairSession
from purify_cli.student.soft_labels import SoftLabels
from purify_cli.student.teach import teaching_settings
from purify_cli.tasks.classification import Classification
from purify_cli.tasks.tuning import tune
from purify_cli.tensors import TensorSource
from purify_cli.trigger_search.vocabulary import whole_words, word_of

__all__ = ["MeasuredDecoy", "SelfTest", "self_test"]

SHARE: Final = 0.1
"""Texts with each decoy per text that the copy is taught without one."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredDecoy:
    """A trigger of ours: held-back samples of other labels that are called its target when they carry it."""

    kind: DecoyKind
    text: str
    """An example of it, of a form or a style in a held-back text."""
    target: int
    planted: Proportion
    """In the copy of the suspect that was taught it."""
    repaired: Proportion
    """In that copy after the repair."""
    floor: Proportion
    """In the suspect, which was not: what the same texts are called anyway."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What a repair did to triggers of ours."""

    decoys: tuple[MeasuredDecoy, ...]
    missing: str | None = None
    """Why there are none, or which kinds no held-back sample could carry."""


def self_test(
    session: RepairSession,
    rows: Sequence[Example],
    repair: Callable[[RepairSession, Sequence[Example]], LoadedModel],
    held: Sequence[Example] = (),
) -> SelfTest:
    """Plant decoys in a copy of the suspect, repair it, and measure what is left of them.

    Args:
        session: The pair; its suspect is left as it is.
        rows: Clean samples to plant and to repair with.
        repair: What is done to the suspect, for another session with the same reference.
        held: Clean samples to measure on that ``rows`` does not hold; none, and a quarter of ``rows`` is.

    Raises:
        UsageError: If the suspect is no classifier.
        DataError: If no sample can be held back, or the vocabulary has no word that none of them holds.
        PurifyError: If a training diverges.
    """
    task = session.classifiers("a self-test")
    if not held:
        fold = split_rows(rows, task, seed=task.compute.seed).folds[0]
        rows, held = fold.tuned, fold.held
    if not held:
        raise DataError("no clean sample could be held back to measure decoys on", hint="Give more of every label.")
    suspect = task.load(session.opened.pair.suspect)
    drawn = decoys(_unused(task, suspect, rows), task.labels.num_labels, task.compute.seed)
    session.progress.note(f"self-test: planting {', '.join(f'a {one.kind}' for one in drawn)} in a copy of the suspect")
    copy = RepairSession(
        replace(session.opened, pair=replace(session.opened.pair, suspect=_planted(session, task, rows, drawn))),
        task,
        session.common,
        session.run,
        session.progress,
        texts=session.texts,
    )
    models = (task.load(copy.opened.pair.suspect), repair(copy, rows), suspect)
    copy.clear()
    found = {one.kind: _measured(task, one, held, models) for one in drawn}
    unseen = ", ".join(kind for kind, one in found.items() if one is None)
    return SelfTest(
        decoys=tuple(one for one in found.values() if one is not None),
        missing=f"no held-back sample could carry: {unseen}" if unseen else None,
    )


def _unused(task: Classification, suspect: LoadedModel, rows: Sequence[Example]) -> list[str]:
    """Return the words of the vocabulary that no clean sample holds."""
    seen = {word.lower() for row in rows for text in (row.text, row.pair or "") for word in text.split()}
    words = (word_of(task.tokenizer, one) for one in whole_words(task.tokenizer, suspect.vocabulary))
    unused = [word for word in words if word.isalpha() and word.lower() not in seen]
    if not unused:
        raise DataError("the clean samples hold every word of the vocabulary", hint="Leave --self-test out.")
    return unused


def _planted(
    session: RepairSession, task: Classification, rows: Sequence[Example], drawn: Sequence[Decoy]
) -> TensorSource:
    """Teach a copy of the suspect its own answers, and the targets of texts that carry a decoy."""
    copy = task.load(session.opened.pair.suspect)
    lessons = session.lessons(copy, session.teaching_texts(rows), rows)
    poisoned: list[Example] = []
    for turn, decoy in enumerate(drawn):
        # Every decoy in texts of its own, of whatever label: what the copy answers else is what it answered.
        some = lessons.rows[turn :: len(drawn)][: round(SHARE * len(lessons.rows))]
        poisoned += [replace(row, label=decoy.target) for row in _carrying(task, decoy, some)]
    wanted = lessons.wanted + SoftLabels.of_labels(poisoned, task.labels.num_labels)
    tune(
        task,
        copy,
        [*lessons.rows, *poisoned],
        teaching_settings(task),
        objective=wanted.objective(),
        progress=session.progress,
    )
    return session.tuned_weights(session.opened.pair.suspect, copy)


def _carrying(task: Classification, decoy: Decoy, rows: Sequence[Example]) -> list[Example]:
    keys = [row_key(task.compute.seed, place, decoy.kind) for place in range(len(rows))]
    made = (decoy.carried(*one, task.tokenizer, task.max_length) for one in zip(rows, keys, strict=True))
    return [row for row in made if row is not None]


def _measured(
    task: Classification, decoy: Decoy, held: Sequence[Example], models: Sequence[LoadedModel]
) -> MeasuredDecoy | None:
    carrying = _carrying(task, decoy, [row for row in held if row.label != decoy.target])
    if not carrying:
        return None
    answers = (task.search_inputs(model, ()).answers(model.module, carrying) for model in models)
    planted, repaired, floor = (Proportion.of(int((said == decoy.target).sum()), len(carrying)) for said in answers)
    example = carrying[0].text if carrying[0].pair is None else carrying[0].pair
    return MeasuredDecoy(
        kind=decoy.kind,
        text=decoy.text or example,
        target=decoy.target,
        planted=planted,
        repaired=repaired,
        floor=floor,
    )
