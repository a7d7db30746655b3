"""Plain fine-tuning on clean samples.

No paper's method but every paper's baseline. With few samples it usually leaves a backdoor in place: clean samples do
not hold the trigger, so nothing in their loss asks for it to be forgotten.
"""

from typing import Final

from purify_cli.protocols import ResetDefence

__all__ = ["FINE_TUNING"]

FINE_TUNING: Final = ResetDefence(indicator=None, replacement="reference", ratio=0.0)
"""Nothing is scored and nothing reset."""
