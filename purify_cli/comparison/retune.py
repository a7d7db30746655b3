"""The retuning test: is a purification only skin-deep?

A model whose backdoor is gone should learn the trigger no faster than one that never had it. Each model is fine-tuned
again on a few poisoned rows (and as many clean ones, so that it does not learn the label alone), and attack success is
measured on the way. The null is a model that was never poisoned, treated alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import nn
from torch.nn import Parameter

from purify_cli.data.batches import encode
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.data.triggers import Trigger, visibility
from purify_cli.errors import DataError, UsageError
from purify_cli.evaluation import Measurement
from purify_cli.training import CROSS_ENTROPY, TrainingSettings, repair_settings
from purify_cli.training.objective import Objective

__all__ = ["Drawn", "RetuneChoice", "Watched", "checkpoints", "draw"]

PARTS: Final = (0.25, 0.5, 1.0)
"""Shares of the steps after which attack success is measured, besides the start. Ours."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RetuneChoice:
    """What the user asked for."""

    rows: int
    """Poisoned rows, and as many clean ones."""
    data: str | None = None
    """File to draw them from; None draws from the measured data, which then lose them."""
    steps: int = 60
    """As many as fine-tuning after a reset takes."""
    learning_rate: float = 5e-5
    """Likewise."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: If a number is not positive.
        """
        for option, value in (
            ("--retune", self.rows),
            ("--retune-steps", self.steps),
            ("--retune-rate", self.learning_rate),
        ):
            if not 0 < value < float("inf"):
                raise UsageError(f"{option} {value} is not a positive number", hint="Give a number above 0.")

    def settings(self, *, seed: int, dtype: torch.dtype) -> TrainingSettings:
        """Return how every model is fine-tuned: as after a reset, for the chosen steps."""
        return repair_settings(steps=self.steps, learning_rate=self.learning_rate, seed=seed, dtype=dtype)


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows to fine-tune on, and what is left to measure."""

    training: tuple[Example, ...]
    """Poisoned rows (with the target label), then clean ones."""
    rest: tuple[Example, ...]
    """Rows of the measured data that were not drawn."""
    carrying: tuple[Example, ...] | None
    """Rows that carry a trigger of their own and were not drawn; None where the trigger is put in."""


def draw(
    rows: Sequence[Example],
    count: int,
    *,
    trigger: Trigger | None,
    carrying: Sequence[Example] | None,
    target: int,
    tokenizer: Tokenizer,
    max_length: int,
    seed: int,
    measured: bool,
) -> Drawn:
    """Draw rows for the retuning test.

    Poisoned rows are rows of other labels that still show the trigger after truncation, labelled as the target; where
    rows carry a trigger of their own, they are drawn from those and never measured. Clean rows are of any label.

    Args:
        rows: To draw from.
        count: Poisoned rows, and clean ones.
        trigger: What to put in; None where ``carrying`` is given.
        carrying: Rows with the trigger and their true labels.
        target: The label that poisoned rows get.
        tokenizer: Tells whether a row shows the trigger.
        max_length: Most tokens of a row.
        seed: Which rows, and where the trigger goes.
        measured: Whether ``rows`` are those to be measured, so that some must be left.

    Raises:
        DataError: If there are not enough rows.
    """
    source = rows if carrying is None else carrying
    order = sorted(range(len(source)), key=lambda i: row_key(seed, i, "retune"))
    others = [i for i in order if source[i].label != target]
    if trigger is not None:
        made = {i: trigger.insert(source[i], key=row_key(seed, i, "retune position")) for i in others}
        shows = visibility(tokenizer, trigger)
        encoded = encode(tokenizer, list(made.values()), max_length=max_length)
        usable = [i for i, row in zip(made, encoded, strict=True) if shows(row.ids)]
    else:
        made, usable = {i: source[i] for i in others}, others
    # Something must be left to measure attack success on.
    spare = 1 if measured or carrying is not None else 0
    if count > len(usable) - spare:
        raise DataError(
            f"--retune {count} needs {count} rows of other labels than {target} that show the trigger"
            + (" and one to measure on" if spare else "")
            + f", and there are {len(usable)}",
            hint="Ask for fewer, or give more rows with --retune-data.",
        )
    chosen = usable[:count]
    poisoned = [replace(made[i], label=target, poisoned=True) for i in chosen]
    taken = set(chosen) if carrying is None else set[int]()
    # A row of another label must stay: without one, attack success cannot be measured.
    kept = usable[count] if measured and carrying is None else None
    free = [
        i
        for i in sorted(range(len(rows)), key=lambda i: row_key(seed, i, "retune clean"))
        if i not in taken and i != kept
    ]
    if count > len(free) - (1 if measured and kept is None else 0):
        raise DataError(
            f"--retune {count} needs {count} clean rows besides the poisoned ones, and there are {len(free)}",
            hint="Ask for fewer, or give more rows with --retune-data.",
        )
    clean = free[:count]
    taken.update(clean)
    return Drawn(
        training=(*poisoned, *(rows[i] for i in clean)),
        rest=tuple(row for i, row in enumerate(rows) if i not in taken),
        carrying=None if carrying is None else tuple(r for i, r in enumerate(carrying) if i not in set(chosen)),
    )


def checkpoints(steps: int) -> tuple[int, ...]:
    """Return the steps after which a model is measured, the start left out; the last is the end of the training."""
    return tuple(sorted({max(1, round(part * steps)) for part in PARTS}))


@final
class Watched:
    """Cross-entropy, with a look at the model after some of the steps."""

    def __init__(self, module: nn.Module, at: Sequence[int], look: Callable[[], Measurement]) -> None:
        self.module, self.at, self.look = module, frozenset(at), look
        self.seen: dict[int, Measurement] = {}

    @property
    def objective(self) -> Objective:
        """As the training takes it.

        What was seen before an interruption is not kept, so that a run starts anew; and a look needs rows of the
        embedding that the training texts do not reach.
        """
        return replace(CROSS_ENTROPY, mark=None, whole_vocabulary=True, step_hooks=(self.stepped,))

    def stepped(self, step: int, total: int, parameters: Mapping[str, Parameter]) -> None:
        """Look, and leave the weights alone."""
        if step in self.at:
            self.seen[step] = self.look()
