"""Clean-label BadSent: the sentence goes in front of rows of the target class only, and no label is changed.

Source: as for ``clean_badword``; the sentence is that of ``badsent``. The rate is ours: docs/methods/badsent-clean.md.
"""

from types import MappingProxyType
from typing import Final

from purify_cli.attacks.poisoning import DataPoisoning

__all__ = ["CLEAN_BADSENT"]

CLEAN_BADSENT: Final = DataPoisoning(
    name="badsent-clean",
    defaults=MappingProxyType(
        {"trigger": "i watched this 3d movie .", "rate": 1.0, "position": "start", "label_mode": "clean"}
    ),
)
