"""Fine-mixing: a random share of the dimensions goes back to the reference.

Zhang, Lyu, Ma, Wang, Sun: "Fine-mixing: Mitigating Backdoors in Fine-tuned Language Models", Findings of EMNLP 2022,
arXiv:2210.09545. The paper keeps each dimension with probability ρ; here exactly round(ratio · d) dimensions with
ratio = 1 − ρ are drawn from the seed, so that runs compare with other methods at an equal number of resets. It is no
average: each dimension holds the suspect's value or the reference's, never one in between.
"""

from typing import Final

from purify_cli.protocols import ResetDefence

__all__ = ["FINE_MIXING"]

FINE_MIXING: Final = ResetDefence(indicator="uniform", replacement="reference", ratio=0.3)
"""The paper searches ρ for each model, and fixes no value. 0.3 is the default of fine-purifying, so that the two
compare as they stand; docs/results/grid.md shows how much more random resets need."""
