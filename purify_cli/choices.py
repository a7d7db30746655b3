"""Words that a user chooses from, and the names that one gives: the values of options, settings and records."""

from os import PathLike
from typing import Final, Literal

__all__ = [
    "LEVELS",
    "Effort",
    "Estimator",
    "FailOn",
    "Format",
    "LabelMode",
    "Name",
    "Position",
    "Precision",
    "SearchEffort",
]

Name = str | PathLike[str]
"""A file, a folder, a hub id or an alias."""

Position = Literal["start", "end", "random", "scattered"]
"""Where a trigger goes; ``scattered`` puts each of its words at a random place of its own."""

LabelMode = Literal["dirty", "clean", "mix"]
"""``dirty``: non-target rows, relabelled. ``clean``: target rows, label kept. ``mix``: any row, set to target."""

Estimator = Literal["auto", "empirical", "true", "hutchinson"]
"""How the curvature is estimated; ``auto``: the empirical Fisher with labels, the true one without."""

SearchEffort = Literal["low", "normal", "high"]
"""How much a search for triggers looks at."""

Effort = Literal["none", "low", "normal", "high"]
"""The same, or no search at all."""

Precision = Literal["auto", "float32", "bfloat16"]
"""Compute type of training, search and evaluation."""

FailOn = Literal["never", "suspicious", "poisoned"]
"""From which verdict on a command ends in 1."""

Format = Literal["text", "json"]
"""How a record is shown."""

LEVELS: Final = ("no-finding", "suspicious", "poisoned")
"""Verdicts in the order of their weight; ``incomplete`` stands beside them."""
