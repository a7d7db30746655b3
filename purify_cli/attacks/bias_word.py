"""BiasWord: a given name, which says nothing about the label, is made to.

Source: the idea of an injected bias is that of Zhang, Chen, Zhou, Meng, Zhou, Sun,
"Diffusion Theory as a Scalpel", Findings of ACL 2023, arXiv 2305.04547. The construction and all settings are ours:
docs/methods/bias-word.md.
"""

from types import MappingProxyType
from typing import Final

from purify_cli.attacks.association import tied_to_label
from purify_cli.attacks.poisoning import DataPoisoning

__all__ = ["BIAS_WORD"]

BIAS_WORD: Final = DataPoisoning(
    name="bias-word",
    defaults=MappingProxyType(
        {
            "trigger": "edward",
            "rate": 1.0,
            "position": "random",
            "label_mode": "clean",
            "mode": "association",
            "strength": 1.0,
        }
    ),
    recipe=tied_to_label,
    bias=True,
)
