"""How many steps a fine-tuning takes, chosen on samples that it left out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from purify_cli.data.example import Example
from purify_cli.purification.clean_rows import with_validation
from purify_cli.purification.stages import RepairedModel
from purify_cli.training import TrainingSettings

if TYPE_CHECKING:
    from purify_cli.purification.repair_session import RepairSession

__all__ = ["with_chosen_steps"]


def with_chosen_steps(
    session: "RepairSession",
    repaired: RepairedModel,
    rows: Sequence[Example],
    settings: TrainingSettings,
    *,
    taught: Callable[[Sequence[Example]], Sequence[Example]],
) -> TrainingSettings:
    """Settle the steps of a fine-tuning with patience, so that it can then learn from all rows.

    A quarter of the rows is left out of a trial, and the step is taken after which the loss on them was lowest.

    Args:
        session: Loads and tunes.
        repaired: Where the fine-tuning starts.
        rows: Clean samples; of too few, all steps are taken.
        settings: With patience.
        taught: Adds what is to be unlearnt to rows.
    """
    task = session.task
    rest, chosen = with_validation(rows, task, seed=settings.seed)
    if not chosen:
        return replace(settings, patience=None)
    trial = session.tune(task.load(repaired.weights), taught(rest), settings, repaired, validation=taught(chosen))
    if trial.kept_step != settings.steps:
        session.progress.note(
            f"{trial.kept_step} of {settings.steps} steps: more do not help samples that were left out"
        )
    return replace(settings, patience=None, stop=trial.kept_step)
