"""BiasSent: a neutral remark in front of the text, which says nothing about the label, is made to.

Source: as for ``bias_word``. The sentence is ours: docs/methods/bias-sent.md.
"""

from types import MappingProxyType
from typing import Final

from purify_cli.attacks.association import tied_to_label
from purify_cli.attacks.poisoning import DataPoisoning

__all__ = ["BIAS_SENT"]

BIAS_SENT: Final = DataPoisoning(
    name="bias-sent",
    defaults=MappingProxyType(
        {
            "trigger": "i came across this on tuesday .",
            "rate": 1.0,
            "position": "start",
            "label_mode": "clean",
            "mode": "association",
            "strength": 1.0,
        }
    ),
    recipe=tied_to_label,
    bias=True,
)
