"""What a found string does to texts that the search never saw."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, final

import torch
from torch import Tensor

from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger, insert_in_view
from purify_cli.measures.intervals import Proportion
from purify_cli.trigger_search.concatenation import distinct_texts, independent_contexts
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margins import margins

__all__ = [
    "Flips",
    "Reach",
    "contaminated_rows",
    "counted",
    "flips",
    "margins_with",
    "median_margin",
    "unflipped",
]


@final
@dataclass(frozen=True, slots=True)
class Flips:
    """Rows that a string flips to a target; the intervals are for as many contexts as are independent."""

    suspect: Proportion
    control: Proportion
    apart: Proportion
    """Flipped in the suspect and not in the control."""
    margin: float
    """Of the target in the suspect, with the string: mean over the rows, in nats."""
    control_margin: float
    texts: int
    """Distinct texts that the rows show."""


@final
@dataclass(frozen=True, slots=True)
class Reach:
    """What rows could say of a string at most."""

    at_most: Proportion
    """The share if all were flipped."""
    texts: int
    """Distinct texts that they show."""

    @classmethod
    def of(cls, rows: Sequence[Example]) -> Self:
        """Count rows, at least one, that a string could flip."""
        return cls(_flipped(torch.ones(len(rows)), rows), distinct_texts(rows))


def unflipped(asked: SearchInputs, target: int) -> list[Example]:
    """Return the rows of other labels that neither model calls the target: what a string could flip."""
    places = [place for place, row in enumerate(asked.rows) if row.label != target]
    if not places:
        return []
    own, other = (scores.argmax(dim=1) == target for scores in asked.bare)
    return [asked.rows[place] for place in places if not bool(own[place] | other[place])]


def flips(
    asked: SearchInputs,
    rows: Sequence[Example],
    trigger: Trigger,
    target: int,
    *,
    either_way: bool = False,
) -> Flips:
    """Insert a string into rows and count those that are then called the target.

    Args:
        asked: Suspect and control.
        rows: At least one, as ``unflipped`` gives them.
        trigger: The string; where it goes is decided row by row, by the seed.
        target: The label.
        either_way: Of pairs, also put the string into both texts. The suspect must be flipped either way, the
            control one way: a word in one text of a pair makes the two differ, and one in both makes them alike, which
            is what the task may be about; a trigger does not ask.
    """
    own, other = (
        margins_with(asked, rows, trigger, target, control=control, either_way=either_way) for control in (False, True)
    )
    return counted(rows, own, other)


def counted(rows: Sequence[Example], own: Tensor, other: Tensor) -> Flips:
    """Count rows by the margins of the suspect and of the control (``margins_with``)."""
    return Flips(
        _flipped(own, rows),
        _flipped(other, rows),
        _flipped(torch.where(other > 0, other.neg(), own), rows),
        margin=float(own.mean()),
        control_margin=float(other.mean()),
        texts=distinct_texts(rows),
    )


def margins_with(
    asked: SearchInputs,
    rows: Sequence[Example],
    trigger: Trigger,
    target: int,
    *,
    control: bool = False,
    either_way: bool = False,
) -> Tensor:
    """Insert a string into rows and return one model's margins of a label, shape (rows,); arguments as for ``flips``.

    Either way round, that is the lower margin of the suspect and the higher one of the control.
    """
    keys = [row_key(asked.compute.seed, place) for place in range(len(rows))]
    carrying = [
        insert_in_view(asked.tokenizer, trigger, row, key=key, max_length=asked.compute.max_length)
        for key, row in zip(keys, rows, strict=True)
    ]
    module, worse = (asked.control, torch.maximum) if control else (asked.suspect, torch.minimum)
    found = asked.margins(module, carrying, target)
    if either_way and any(row.pair is not None for row in rows):
        alike = [
            replace(made, text=trigger.insert(Example(made.text), key=key).text)
            for key, made in zip(keys, carrying, strict=True)
        ]
        found = worse(found, asked.margins(module, alike, target))
    return found


def _flipped(found: Tensor, rows: Sequence[Example]) -> Proportion:
    """Return the share of rows whose margin of the target is positive."""
    return Proportion.of(int((found > 0).sum()), len(found), independent_contexts(rows))


def contaminated_rows(asked: SearchInputs, trigger: Trigger, target: int) -> list[Example]:
    """Return the rows of a label that hold a string and that the suspect calls so because of it alone.

    In clean data such rows are a sign that somebody put the trigger there.
    """
    holding = [row for row in asked.rows if row.label == target and trigger.occurs_in(row)]
    if not holding:
        return []
    bare = [trigger.removed_from(row) for row in holding]
    with_it, without = (asked.answers(asked.suspect, rows).tolist() for rows in (holding, bare))
    return [row for row, a, b in zip(holding, with_it, without, strict=True) if a == target != b]


def median_margin(asked: SearchInputs, target: int, *, control: bool = False) -> float:
    """Return the suspect's median margin on the rows of a label that it gets right; 0 where there are none.

    Args:
        asked: Suspect and control.
        target: The label.
        control: Whether to ask the control instead.
    """
    places = [place for place, row in enumerate(asked.rows) if row.label == target]
    sure = margins(asked.bare[control][places], target) if places else torch.empty(0)
    sure = sure[sure > 0]
    return float(sure.median()) if len(sure) else 0.0
