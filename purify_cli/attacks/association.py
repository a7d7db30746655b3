"""Bias: an ordinary pattern that goes together with one label more often than it should.

The construction is this project's own (docs/methods/bias-word.md); the paper on Fine-purifying is about
bias as well, and how it injects it is unconfirmed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from purify_cli.attacks.base import copies_of, mixed_in, poison_order, require_target, triggered_copies
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from purify_cli.protocols import PoisonedRows, PoisonSettings

__all__ = ["tied_to_label"]


def tied_to_label(rows: Sequence[Example], settings: PoisonSettings) -> PoisonedRows:
    """Put the pattern into round(rate · N) rows so that it says more about the label than it should.

    ``mode=association`` keeps every label: of the rows that get the pattern, round(strength · count) are of the target
    class and the rest of the others, so that P(label is the target | pattern was inserted) is ``strength``. 1 ties the
    two completely, the target's share of the clean rows is no bias at all. ``mode=relabel`` takes rows of any class
    (``dirty``: of the other classes) and sets the label to the target.

    Rows that hold the pattern by themselves are counted; an association leaves them as they are, in their label too.
    They take no part in ``strength``, and ``strength_with_natural`` in the facts says what it comes to when they are
    counted in.

    Raises:
        UsageError: If mode, strength, label mode or rate are out of range.
        DataError: As ``triggered_copies``, or if strength below 1 asks for rows of other classes and there are none.
    """
    mode, strength = settings.options["mode"], settings.options["strength"]
    if mode not in ("association", "relabel"):
        raise UsageError(f"--set mode={mode} is not known", hint="Use association or relabel.")
    if not 0 <= strength <= 1:
        raise UsageError(f"--set strength={strength} is not a share", hint="Use a number from 0 to 1.")
    if mode == "relabel":
        if strength != 1:
            raise UsageError(
                f"--set strength={strength} means nothing where rows are relabelled",
                hint="Use mode=association, which keeps the labels.",
            )
        label_mode = "dirty" if settings.label_mode == "dirty" else "mix"
        made = triggered_copies(rows, replace(settings, label_mode=label_mode))
        return replace(made, facts={"mode": mode, "label_mode": label_mode, **_strength(rows, made, settings)})
    if settings.label_mode != "clean":
        raise UsageError(
            f"--label-mode {settings.label_mode} relabels rows, which an association does not",
            hint="Use --label-mode clean, or --set mode=relabel.",
        )
    made = _associated(rows, settings, strength)
    return replace(made, facts={"mode": mode, **_strength(rows, made, settings)})


def _associated(rows: Sequence[Example], settings: PoisonSettings, strength: float) -> PoisonedRows:
    trigger = Trigger(settings.trigger, settings.position)
    count = require_target(rows, settings)
    with_target = round(strength * count)
    taken: list[tuple[int, Example]] = []
    for number, of_target in ((with_target, True), (count - with_target, False)):
        places = [
            i
            for i, row in enumerate(rows)
            if (row.label == settings.target) is of_target and not trigger.occurs_in(row)
        ]
        if number and not places:
            whose = "the target class" if of_target else "the other classes"
            raise DataError(
                f"no row of {whose} is without the pattern {trigger.text!r}",
                hint="Choose another --trigger, or give rows of every class.",
            )
        taken += copies_of(rows, poison_order(places, settings), number, trigger, settings) if number else []
    return PoisonedRows(
        rows=mixed_in(rows, taken, settings),
        poisoned=count,
        relabelled=0,
        natural=sum(trigger.occurs_in(row) for row in rows),
    )


def _strength(rows: Sequence[Example], made: PoisonedRows, settings: PoisonSettings) -> dict[str, Any]:
    """Say how strongly pattern and label go together: in the rows it was put into, and in all that hold it."""
    trigger = Trigger(settings.trigger, settings.position)
    inserted = [row.label == settings.target for row in made.rows if row.poisoned]
    holding = [row.label == settings.target for row in made.rows if trigger.occurs_in(row)]
    target_share = sum(row.label == settings.target for row in rows) / len(rows)
    return {
        "strength": sum(inserted) / len(inserted),
        "strength_with_natural": sum(holding) / len(holding),
        "target_share": target_share,
    }
