"""The control of a search: a model that knows the task and should not react to a trigger."""

from typing import Final

from purify_cli.evidence.search_outcome import ControlModel
from purify_cli.measures.intervals import Proportion
from purify_cli.model import LoadedModel
from purify_cli.purification.repair_session import RepairSession
from purify_cli.trigger_search.flips import SearchInputs

__all__ = ["make_control"]

RESET: Final = 0.8
"""Share of the dimensions that are reset at random to make the control. With less, strong backdoors survive in it; with
all, it knows the task no better than a few clean samples can teach it."""

STEPS: Final = 60
"""Of the control's fine-tuning, as in a repair."""


def make_control(session: RepairSession, asked: SearchInputs) -> tuple[LoadedModel, ControlModel]:
    """Reset most dimensions at random and tune the rest on the texts: a model of the task with a weaker backdoor."""
    session.progress.note(
        f"making a control: {RESET:.0%} of the dimensions reset at random, tuned on {len(asked.rows)} texts"
    )
    defence = session.prepare("fine-mixing", asked.rows, settings={"steps": str(STEPS)})
    control, _, training = defence.repair(RESET, asked.rows, progress=session.progress)
    assert training is not None  # there are rows
    answers = asked.answers(control.module, asked.rows).tolist()
    right = sum(answer == row.label for answer, row in zip(answers, asked.rows, strict=True))
    return control, ControlModel(reset=RESET, steps=training.steps, right=Proportion.of(right, len(asked.rows)))
