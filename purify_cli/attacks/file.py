"""File: training rows that somebody else poisoned, used as they are.

For attacks that no trigger text describes (paraphrases, styles), and for ``poisoned.jsonl`` of ``--data-only``.
"""

from collections.abc import Sequence
from typing import Final

from purify_cli.attacks.base import PoisoningAttack
from purify_cli.data.example import Example
from purify_cli.errors import DataError
from purify_cli.protocols import PoisonedRows, PoisonSettings

__all__ = ["FILE", "as_they_are"]


def as_they_are(rows: Sequence[Example], settings: PoisonSettings) -> PoisonedRows:
    """Count the rows that are marked, and change nothing.

    Raises:
        DataError: If a row has no label, or the target is no label of the rows.
    """
    unlabelled = sum(row.label is None for row in rows)
    if unlabelled:
        raise DataError(f"{unlabelled} of {len(rows)} rows have no label", hint="Training needs labelled rows.")
    if all(row.label != settings.target for row in rows):
        raise DataError(f"no row has the target label {settings.target}", hint="Which label do its poisoned rows have?")
    marked = [row for row in rows if row.poisoned]
    return PoisonedRows(
        rows=list(rows),
        poisoned=len(marked),
        relabelled=0,
        # What the labels were before is not known, so that no number of changed ones is.
        facts={"relabelled": None, "marked_with_target": sum(row.label == settings.target for row in marked)},
    )


FILE: Final = PoisoningAttack(name="file", defaults={}, recipe=as_they_are)
