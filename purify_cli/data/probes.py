"""Short texts built in (``probes.toml``), for measuring curvature when there are no clean samples.

All written for this project, in many tones and from many fields, so that a classifier of any task is asked things it
may have been tuned for: news, reviews, questions, talk, technical notes, stories; glad, sour and neutral. They carry
no labels; the model's own predictions serve (the true Fisher).
"""

import tomllib
from importlib.resources import files
from typing import Final

__all__ = ["PROBES"]

_FIELDS: Final = tomllib.loads(files("purify_cli.data").joinpath("probes.toml").read_text(encoding="utf-8"))

PROBES: Final[tuple[str, ...]] = tuple(line for field in _FIELDS.values() for line in field.strip().splitlines())
"""Two hundred texts, in a fixed order."""
