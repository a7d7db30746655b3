"""The control of a search: a student, which knows the task and never saw a trigger."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from purify_cli.data.example import Example
from purify_cli.data.sampling import halved
from purify_cli.errors import SearchImpossible
from purify_cli.evidence.search_outcome import ControlModel
from purify_cli.measures.intervals import Proportion
from purify_cli.model import LoadedModel
from purify_cli.purification.repair_session import RepairSession
from purify_cli.trigger_search.inputs import SearchInputs

__all__ = ["agreed", "another_control", "make_control"]

AGREES: Final = 0.6
"""Of held-back samples a student must answer so many as the suspect does, or nothing can be held against it. Ours."""


def make_control(session: RepairSession, asked: SearchInputs) -> tuple[LoadedModel, ControlModel]:
    """Teach a student on the half of the rows that chooses words, and measure it on the half that measures them.

    Args:
        session: The pair, and what students are taught on.
        asked: The rows of the search; its suspect is the teacher, or what a repair made of it.

    Raises:
        SearchImpossible: If it did not learn the task.
        TrainingDiverged: If it cannot be taught.
    """
    return _control(session, asked, draw=0)


def another_control(session: RepairSession, asked: SearchInputs) -> tuple[LoadedModel, ControlModel]:
    """Teach another student as the first was taught.

    Args:
        session: As for ``make_control``, and so are the errors.
        asked: As there.
    """
    return _control(session, asked, draw=1)


def _control(session: RepairSession, asked: SearchInputs, *, draw: int) -> tuple[LoadedModel, ControlModel]:
    choosing, held = halved(asked.rows, seed=session.common.compute.seed)
    student, texts = session.student(choosing, draw=draw), session.teaching_texts(choosing, draw=draw)
    own, others = (asked.answers(module, held).tolist() for module in (student.loaded.module, asked.suspect))
    right = sum(answer == row.label for answer, row in zip(own, held, strict=True))
    agrees = sum(a == b for a, b in zip(own, others, strict=True))
    if agrees < AGREES * len(held):
        raise SearchImpossible(
            f"the student, taught on {student.texts} {texts.source.replace('made', 'texts made')}, answers as the "
            f"suspect does in {agrees} of {len(held)} clean samples that it never saw: it is no control",
            hint="Give unlabelled texts of the suspect's own task, or more clean samples.",
        )
    return student.loaded, ControlModel(
        texts=texts.source,
        taught=student.texts,
        repeated=texts.repeated,
        steps=student.training.steps,
        right=Proportion.of(right, len(held)),
        agrees=Proportion.of(agrees, len(held)),
    )


def agreed(asked: SearchInputs, texts: Sequence[Example]) -> list[Example]:
    """Return the texts of which suspect and control say the same, with that label."""
    if not texts:
        return []
    own, other = (asked.answers(module, texts).tolist() for module in (asked.suspect, asked.control))
    return [replace(text, label=a) for text, a, b in zip(texts, own, other, strict=True) if a == b]
