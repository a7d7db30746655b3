"""One labelled text or pair of texts."""

from dataclasses import dataclass, field
from typing import final

__all__ = ["Example"]


@final
@dataclass(frozen=True, slots=True)
class Example:
    """One row of a data set, clean or poisoned."""

    text: str
    """The text, or the first of a pair."""
    pair: str | None = None
    """The second text of a pair; triggers go in here."""
    label: int | None = None
    """Class index; None where the row carries no label."""
    poisoned: bool = False
    """True for rows that an attack made or changed."""
    parts: tuple["Example", ...] = field(default=(), compare=False)
    """Of several rows joined to one context: those that it shows; empty for a row of its own."""
