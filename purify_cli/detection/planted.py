"""The rule by which a found word counts as planted."""

from collections.abc import Sequence
from typing import Final

from purify_cli.inversion.search import Found

__all__ = ["ENOUGH", "KEPT", "STRENGTH", "planted"]

TURNED: Final = 0.75
KEPT: Final = 0.3
STRENGTH: Final = 0.5
FEWEST: Final = 4
ENOUGH: Final = 8
"""A word is planted if it turns over at least 75 % of 4 or more held-back piles of texts in the suspect, makes it at
least half as sure of the label as piles of that label do, and turns over at most 30 % in the control. With 8 or more
piles the suspect counts as poisoned, with fewer as suspicious. Words that merely speak for a label fall short of that:
docs/detection.md has figures."""

KIN: Final = 0.5
"""What words in front must turn over beside a planted one in front. A sentence that is the trigger by its form begins
with one of several words; each alone is weaker evidence, and what is left of them keeps the backdoor open."""


def planted(found: Sequence[Found]) -> list[bool]:
    """Say of each of a suspect's found words whether it counts as planted."""
    alone = [_measured(one, TURNED) and one.strength >= STRENGTH and one.flips.control.value <= KEPT for one in found]
    ahead = {one.target for one, yes in zip(found, alone, strict=True) if yes and _in_front(one)}
    return [
        yes or (one.target in ahead and _in_front(one) and _measured(one, KIN) and one.flips.control.value <= KEPT)
        for one, yes in zip(found, alone, strict=True)
    ]


def _measured(one: Found, share: float) -> bool:
    return one.flips.suspect.total >= FEWEST and one.flips.suspect.value >= share


def _in_front(one: Found) -> bool:
    return one.trigger.position == "start"
