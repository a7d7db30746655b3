"""A word, or several, that may be a trigger."""

from dataclasses import dataclass
from typing import TypeAlias, final

from purify_cli.choices import Position

__all__ = ["Candidate", "String"]

String: TypeAlias = tuple[int, ...]
"""Token ids of words, in the order in which they are put into a text."""


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """Words that move the suspect to a label."""

    tokens: String
    target: int
    shift: float
    """How much they raise the suspect's margin of the target: mean over short texts of other labels, in nats."""
    control_shift: float
    """The same in the control."""
    position: Position = "random"
    """Where in a text it works best."""

    @property
    def contrast(self) -> float:
        """What of the shift is the suspect's own."""
        return self.shift - self.control_shift
