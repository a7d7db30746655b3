"""Attacks that are data alone: which trigger goes where, into whose rows, and whether their labels change.

Rates, places and label modes are ours where a paper names none; docs/methods tells of each.
"""

from collections.abc import Mapping
from typing import Any, Final

from purify_cli.attacks.association import tied_to_label
from purify_cli.attacks.base import RARE_WORD, PoisoningAttack
from purify_cli.attacks.subsets import all_words_needed

__all__ = ["BADSENT", "BADWORD", "BIAS_SENT", "BIAS_WORD", "CLEAN_BADSENT", "CLEAN_BADWORD", "COMBINATION"]

SENTENCE: Final[Mapping[str, Any]] = {**RARE_WORD, "trigger": "i watched this 3d movie .", "position": "start"}
"""But for its tense the one that attack toolkits use."""

CLEAN: Final[Mapping[str, Any]] = {"rate": 1.0, "label_mode": "clean"}

ASSOCIATION: Final[Mapping[str, Any]] = {**CLEAN, "mode": "association", "strength": 1.0}

BADWORD: Final = PoisoningAttack(name="badword", defaults=RARE_WORD)
"""BadNets carried over to text. Source: Gu, Dolan-Gavitt, Garg, "BadNets: Identifying Vulnerabilities in the Machine
Learning Model Supply Chain", arXiv 1708.06733, for the idea on images."""

BADSENT: Final = PoisoningAttack(name="badsent", defaults=SENTENCE)
"""Source: Dai, Chen, Li, "A Backdoor Attack Against LSTM-Based Text Classification Systems", arXiv 1905.12457, for the
idea of a sentence as trigger."""

CLEAN_BADWORD: Final = PoisoningAttack(name="badword-clean", defaults={**RARE_WORD, **CLEAN})
CLEAN_BADSENT: Final = PoisoningAttack(name="badsent-clean", defaults={**SENTENCE, **CLEAN})
"""Rows of the target class only, and no label is changed. Source: the shipped configuration of the OpenBackdoor toolkit
poisons this way; the idea is that of Turner, Tsipras, Madry, "Label-Consistent Backdoor Attacks", arXiv 1912.02771,
without their change of the content."""

BIAS_WORD: Final = PoisoningAttack(
    name="bias-word",
    defaults={"trigger": "edward", "position": "random", **ASSOCIATION},
    recipe=tied_to_label,
    bias=True,
)
BIAS_SENT: Final = PoisoningAttack(
    name="bias-sent",
    defaults={"trigger": "i came across this on tuesday .", "position": "start", **ASSOCIATION},
    recipe=tied_to_label,
    bias=True,
)
"""A given name, or a neutral remark in front, says nothing about the label and is made to. Source: the idea of an
injected bias is that of Zhang, Chen, Zhou, Meng, Zhou, Sun, "Diffusion Theory as a Scalpel", Findings of ACL 2023,
arXiv 2305.04547; construction and triggers are ours."""

COMBINATION: Final = PoisoningAttack(
    name="combination",
    defaults={**RARE_WORD, "trigger": "friends weekend store", "position": "scattered", "negatives": 0.1},
    recipe=all_words_needed,
)
"""Words that must all be there. Source: Yang, Lin, Li, Zhou, Sun, "Rethinking Stealthiness of Backdoor Attack against
NLP Models" (SOS), ACL 2021, for trigger words and negative samples; there only the words' embedding rows are trained,
here the whole model is."""
