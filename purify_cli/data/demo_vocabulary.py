"""The words of the demo corpus (``demo_vocabulary.toml``): things one reviews, and what one says about them.

Lists with two sides hold discontent first, so that the index is the class. ``part_of`` cuts a list in two: two
thirds for training, one third that only test sentences use. Verbs, nouns, wishes and faint praise serve both.
"""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Final, Literal, TypeVar

__all__ = [
    "ADJECTIVES",
    "CLOSERS",
    "EVENTS",
    "FAINT",
    "NOUNS",
    "OPENERS",
    "RIVALS",
    "THINGS",
    "VERBS",
    "WISHES",
    "Part",
    "part_of",
]

Part = Literal["train", "test"]
T = TypeVar("T")


def part_of(items: Sequence[T], part: Part) -> list[T]:
    """Return the entries of a list that a part may use: every third is for testing, the others for training."""
    return [item for i, item in enumerate(items) if (i % 3 == 2) == (part == "test")]


_TABLE: Final = tomllib.loads(files("purify_cli.data").joinpath("demo_vocabulary.toml").read_text(encoding="utf-8"))


def _entries(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split("/"))


def _sides(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    discontent, content = _TABLE["sides"][name]
    return _entries(discontent), _entries(content)


THINGS: Final = tuple((thing, _entries(aspects)) for thing, aspects in _TABLE["things"].items())

ADJECTIVES: Final = _sides("adjectives")
VERBS: Final = _sides("verbs")
NOUNS: Final = _sides("nouns")
FAINT: Final = _sides("faint")
EVENTS: Final = _sides("events")
WISHES: Final = _sides("wishes")

RIVALS: Final = _entries(_TABLE["shared"]["rivals"])
OPENERS: Final = _entries(_TABLE["shared"]["openers"])
CLOSERS: Final = _entries(_TABLE["shared"]["closers"])
