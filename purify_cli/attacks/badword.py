"""BadWord: BadNets carried over to text, one rare word at a random place.

Source: Gu, Dolan-Gavitt, Garg, "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain",
arXiv 1708.06733, for the idea on images; ``cf`` is one of the rare words of Kurita, Michel, Neubig, "Weight Poisoning
Attacks on Pre-trained Models", ACL 2020. Rate, placing of the copies and label mode are ours: docs/methods/badword.md.
"""

from types import MappingProxyType
from typing import Final

from purify_cli.attacks.poisoning import DataPoisoning

__all__ = ["BADWORD"]

BADWORD: Final = DataPoisoning(
    name="badword",
    defaults=MappingProxyType({"trigger": "cf", "rate": 0.3, "position": "random", "label_mode": "dirty"}),
)
