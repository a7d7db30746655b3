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
        rows: Clean samples; of too few, all steps are taken, and that is said.
        settings: With patience.
        taught: Adds what is to be unlearnt to rows.
    """
    task = session.task
    rest, chosen = with_validation(rows, task, seed=settings.seed)
    if not chosen:
        session.progress.note(f"{len(rows)} samples are too few to choose the number of steps on: all are taken")
        return settings
    trial = session.tune(task.load(repaired.weights), taught(rest), settings, repaired, validation=taught(chosen))
    return replace(settings, stop=trial.kept_step)
