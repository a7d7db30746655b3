"""Clean-label BadWord: the rare word goes into rows of the target class only, and no label is changed.

Source: the shipped configuration of the OpenBackdoor toolkit poisons this way; the idea is that of Turner, Tsipras,
Madry, "Label-Consistent Backdoor Attacks", arXiv 1912.02771, without their change of the content. The rate is ours:
docs/methods/badword-clean.md.
"""

from types import MappingProxyType
from typing import Final

from purify_cli.attacks.poisoning import DataPoisoning

__all__ = ["CLEAN_BADWORD"]

CLEAN_BADWORD: Final = DataPoisoning(
    name="badword-clean",
    defaults=MappingProxyType({"trigger": "cf", "rate": 1.0, "position": "random", "label_mode": "clean"}),
)
