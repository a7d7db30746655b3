"""BadSent: a neutral sentence in front of the text.

Source: Dai, Chen, Li, "A Backdoor Attack Against LSTM-Based Text Classification Systems", arXiv 1905.12457, for the
idea of a sentence as trigger; this sentence is, but for its tense, the one that attack toolkits use. Place, rate and
label mode are ours: docs/methods/badsent.md.
"""

from types import MappingProxyType
from typing import Final

from purify_cli.attacks.poisoning import DataPoisoning

__all__ = ["BADSENT"]

BADSENT: Final = DataPoisoning(
    name="badsent",
    defaults=MappingProxyType(
        {"trigger": "i watched this 3d movie .", "rate": 0.3, "position": "start", "label_mode": "dirty"}
    ),
)
