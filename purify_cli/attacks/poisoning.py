"""Data poisoning: copies of training rows with a trigger in them.

Which rows are taken, and where a trigger goes, follows from a hash of seed and row, so the same seed gives the same
rows whatever else is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from purify_cli.protocols import PoisonedRows, PoisonSettings

__all__ = ["DataPoisoning"]


@final
@dataclass(frozen=True, slots=True)
class DataPoisoning:
    """An attack that changes nothing but the training data (an ``Attack``)."""

    name: str
    defaults: Mapping[str, Any]

    def poison(self, rows: Sequence[Any], settings: PoisonSettings) -> PoisonedRows:
        """Mix round(rate · N) poisoned rows into N clean ones.

        ``dirty`` takes rows of other classes and labels them as the target; ``clean`` takes rows of the target and
        leaves the label; ``mix`` takes any row and sets the label to the target. A row is taken twice only when all
        candidates have been taken once. Copies are appended, or put in the place of their rows with ``replace``.

        Args:
            rows: ``Example`` rows, all labelled.
            settings: Trigger, target, rate and modes.

        Raises:
            UsageError: If the rate is outside (0, 1].
            DataError: If a row has no label, the target is no label of the rows, no row can be poisoned, the rate
                amounts to no row, or ``replace`` asks for more rows than can be poisoned.
        """
        trigger = Trigger(settings.trigger, settings.position)
        candidates = _candidates(rows, settings)
        count = round(settings.rate * len(rows))
        if count == 0:
            raise DataError(f"a rate of {settings.rate} of {len(rows)} rows is no row", hint="Raise --rate.")
        if settings.replace and count > len(candidates):
            raise DataError(
                f"{count} rows are to be replaced but only {len(candidates)} can be",
                hint="Lower --rate, or append copies instead.",
            )
        poisoned: list[tuple[int, Example]] = []
        for number in range(count):
            row = candidates[number % len(candidates)]
            # A second copy of a row is another text: its trigger goes elsewhere.
            key = row_key(settings.seed, row + len(rows) * (number // len(candidates)))
            inserted = trigger.insert(rows[row], key=key)
            poisoned.append((row, replace(inserted, label=settings.target, poisoned=True)))
        mixed: list[Example] = list(rows)
        if settings.replace:
            for row, example in poisoned:
                mixed[row] = example
        else:
            mixed.extend(example for _, example in poisoned)
        return PoisonedRows(
            rows=mixed,
            poisoned=count,
            relabelled=sum(rows[row].label != settings.target for row, _ in poisoned),
            natural=sum(trigger.occurs_in(row) for row in rows),
        )


def _candidates(rows: Sequence[Example], settings: PoisonSettings) -> list[int]:
    """Return the places of the rows that may be poisoned, in the order in which they are taken."""
    if not 0 < settings.rate <= 1:
        raise UsageError(f"--rate {settings.rate} is not a share", hint="Use a number above 0 and at most 1.")
    unlabelled = sum(row.label is None for row in rows)
    if unlabelled:
        raise DataError(f"{unlabelled} of {len(rows)} rows have no label", hint="Poisoning needs labelled rows.")
    labels = sorted({row.label for row in rows if row.label is not None})
    if settings.target not in labels:
        raise DataError(
            f"no row has the target label {settings.target}",
            hint=f"Labels there: {', '.join(map(str, labels)) or 'none'}.",
        )
    of_target = {"dirty": (False,), "clean": (True,), "mix": (False, True)}[settings.label_mode]
    chosen = [i for i, row in enumerate(rows) if (row.label == settings.target) in of_target]
    if not chosen:
        raise DataError(
            f"all {len(rows)} rows have the target label {settings.target}",
            hint="Dirty-label poisoning needs rows of another class.",
        )
    return sorted(chosen, key=lambda row: row_key(settings.seed, row, "poison"))
