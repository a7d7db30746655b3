"""Unlearning: reset what carries the triggers that were found, then fine-tune on clean samples that hold them.

Half of the fine-tuning's rows carry a found word, three times in a row, under their true labels, so that the loss
itself asks for the backdoor to go. Fine-tuning on stamped samples is the unlearning step of Neural Cleanse (Wang et
al., IEEE S&P 2019), there with a searched patch on images. Words, the reset by attribution and the repetition are ours.
"""

from typing import Final

from purify_cli.protocols import ResetDefence

__all__ = ["UNLEARNING"]

UNLEARNING: Final = ResetDefence(indicator="attribution", replacement="reference", ratio=0.1, unlearns=True)
"""0.1 is what the comparisons of docs/reproduction.md are made at."""
