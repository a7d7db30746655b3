"""Which triggers an evaluation is about, as the options name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast, final

from purify_cli.choices import Position
from purify_cli.comparison.retune import RetuneChoice
from purify_cli.comparison.table import LabelTrigger
from purify_cli.data.triggers import Trigger
from purify_cli.errors import UsageError
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.requests.readers import many

__all__ = ["TriggerChoice", "pair_options", "retune_choice"]

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerChoice:
    """One trigger to measure: words that are put into the rows, or rows that carry it already."""

    target: str
    """A label number or name."""
    text: str | None = None
    position: Position = "random"
    rows: str | None = None
    """File of rows that carry the trigger, with true labels; in place of ``text``."""
    bias: bool = False
    """Measure accuracy on rows of every label that carry it, besides attack success."""

    @property
    def trigger(self) -> Trigger | None:
        """The trigger to put in; None where rows carry it."""
        return None if self.text is None else Trigger(self.text, self.position)

    @property
    def varies(self) -> bool:
        """Whether a seed decides what is put where."""
        trigger = self.trigger
        return trigger is not None and (trigger.position in {"random", "scattered"} or len(trigger.alternatives) > 1)

    def fact(self, target: int) -> LabelTrigger:
        """Write the choice down with its label number."""
        return LabelTrigger(text=self.text or "", position=self.position, target=target, bias=self.bias, rows=self.rows)


def pair_options(request: EvaluateRequest) -> tuple[TriggerChoice, ...]:
    """Pair what the options name: first the triggers, then the files, each in the order given.

    One ``--position`` is for all triggers, else there is one per trigger; without any it is random. One ``--target`` is
    for all, else there is one per trigger and file in that order. ``--bias`` is for all.

    Raises:
        UsageError: If the numbers do not fit, or something is given that needs a trigger.
        DataError: If a trigger is empty.
    """
    triggers, files, targets = many(request.trigger), many(request.triggered), many(request.target)
    positions, bias = cast("Sequence[Position]", many(request.position)), request.bias
    asked = len(triggers) + len(files)
    if (asked == 0) != (len(targets) == 0):
        raise UsageError(
            "a trigger needs a target, and a target a trigger",
            hint="Give --trigger (or --triggered) and --target.",
        )
    if positions and not triggers:
        raise UsageError("--position needs a trigger", hint="Give --trigger and --target as well.")
    where = _spread(positions or ("random",), len(triggers), "--position", "--trigger")
    called = _spread(targets, asked, "--target", "--trigger and --triggered")
    chosen = [
        TriggerChoice(text=text, position=position, target=target, bias=bias)
        for text, position, target in zip(triggers, where, called, strict=False)
    ]
    for choice in chosen:
        _ = choice.trigger  # refuses an empty one
    chosen += [
        TriggerChoice(rows=file, target=target, bias=bias)
        for file, target in zip(files, called[len(triggers) :], strict=True)
    ]
    return tuple(chosen)


def _spread(given: Sequence[T], count: int, option: str, of: str) -> tuple[T, ...]:
    if len(given) not in {1, count} and count:
        raise UsageError(
            f"{option} is given {len(given)} times for {count} of {of}",
            hint=f"Give {option} once for all, or once for each in order.",
        )
    return tuple(given) * count if len(given) == 1 else tuple(given)


def retune_choice(request: EvaluateRequest) -> RetuneChoice | None:
    """Read the options of the retuning test; None where none is asked for.

    Raises:
        UsageError: If something is said about a test that is not asked for, or a number is not positive.
    """
    said: dict[str, Any] = {
        "data": request.retune_data,
        "steps": request.retune_steps,
        "learning_rate": request.retune_rate,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if request.retune is not None:
        return RetuneChoice(rows=request.retune, **said)
    if said:
        option = {"learning_rate": "rate"}.get(name := next(iter(said)), name)
        raise UsageError(
            f"--retune-{option} without --retune", hint="Say with --retune N how many poisoned rows to tune on."
        )
    return None
