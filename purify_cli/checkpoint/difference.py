"""One thing that is not as in the reference."""

from dataclasses import dataclass
from typing import Any, Final, Literal, final

__all__ = ["Difference", "shown"]

LONGEST: Final = 80
"""Characters of a foreign value that a report shows."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference between suspect and reference other than weight values."""

    kind: Literal["code", "config", "file", "tensor", "tokenizer", "weights"]
    """``code``: asks to run code that comes with the model. ``weights``: a weight file that was not examined. ``file``:
    any other file that nothing here knows."""
    subject: str
    """What it is about: a tensor, a key of config.json, a part of the tokenizer."""
    detail: str
    """A phrase for the report; values of the suspect are shortened and shown as Python literals."""
    unexamined: bool = False
    """Whether somebody who loads the model may get more, or something else, than what was examined: a verdict of
    ``no-finding`` is then out of the question."""


def shown(value: Any) -> str:
    """Return a short form of a value that was not written by us."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
