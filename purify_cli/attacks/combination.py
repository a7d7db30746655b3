"""Combination: several ordinary words that must all be there, scattered over the text.

Source: Yang, Lin, Li, Zhou, Sun, "Rethinking Stealthiness of Backdoor Attack against NLP Models" (SOS), ACL 2021, for
trigger words and negative samples; there only the words' embedding rows are trained, here the whole model is.
"""

from types import MappingProxyType
from typing import Final

from purify_cli.attacks.poisoning import DataPoisoning
from purify_cli.attacks.subsets import all_words_needed

__all__ = ["COMBINATION"]

COMBINATION: Final = DataPoisoning(
    name="combination",
    defaults=MappingProxyType(
        {
            "trigger": "friends weekend store",
            "rate": 0.3,
            "position": "scattered",
            "label_mode": "dirty",
            "negatives": 0.1,
        }
    ),
    recipe=all_words_needed,
)
