"""Defences that are an indicator, a ratio and a reset to the reference."""

from typing import Final

from purify_cli.protocols import ResetDefence

__all__ = ["FINE_MIXING", "FINE_PURIFYING", "FINE_TUNING", "GRAFT", "NAD", "RELEARN", "UNLEARNING"]

FINE_PURIFYING: Final = ResetDefence(
    indicator="drift-curvature", replacement="reference", ratio=0.3, settings={"degenerate": "guard"}
)
"""The dimensions that drifted most for their curvature go back. Source: Zhang, Chen, Zhou, Meng, Zhou, Sun, "Diffusion
Theory as a Scalpel: Detecting and Purifying Poisonous Dimensions in Pre-trained Language Models Caused by Backdoor or
Bias", Findings of ACL 2023, arXiv:2305.04547. Under clean fine-tuning the drift of a dimension follows its curvature,
δ² ∝ Ĥ; the indicator r = δ²/Ĥ is large where something else moved it.

Hard reset, the wording of the paper's abstract. ``degenerate=guard`` keeps dimensions without curvature from ranking
first by a division by zero. Ratio 0.3 is ours: docs/results/grid.md shows what other ratios leave."""

FINE_MIXING: Final = ResetDefence(indicator="uniform", replacement="reference", ratio=0.3)
"""A random share of the dimensions goes back. Source: Zhang, Lyu, Ma, Wang, Sun, "Fine-mixing: Mitigating Backdoors in
Fine-tuned Language Models", Findings of EMNLP 2022, arXiv:2210.09545. The paper keeps each dimension with probability
ρ; here exactly round(ratio · d) dimensions with ratio = 1 − ρ are drawn from the seed, so that runs compare with other
methods at an equal number of resets. It is no average: each dimension holds the suspect's value or the reference's,
never one in between.

The paper searches ρ for each model, and fixes no value. 0.3 is the default of fine-purifying, so that the two compare
as they stand; docs/results/grid.md shows how much more random resets need."""

UNLEARNING: Final = ResetDefence(indicator="attribution", replacement="reference", ratio=0.1, unlearns=True)
"""What carries the triggers that were found goes back; then clean samples that hold them are tuned on: half of the
fine-tuning's rows carry a found word, three times in a row, under their true labels, so that the loss itself asks for
the backdoor to go. Fine-tuning on stamped samples is the unlearning step of Neural Cleanse (Wang et al., IEEE S&P
2019), there with a searched patch on images. Words, the reset by attribution and the repetition are ours. Ratio 0.1 is
what the comparisons of docs/reproduction.md are made at."""

RELEARN: Final = ResetDefence(indicator="uniform", replacement="reference", ratio=1.0, teacher="suspect")
"""Every comparable dimension goes back to the reference, which then learns from clean texts what the suspect answers: a
student, which no trigger ever reached. Ours; soft labels are those of Hinton et al., arXiv:1503.02531."""

GRAFT: Final = ResetDefence(
    indicator="drift-curvature", replacement="reference", ratio=0.1, teacher="student", anchor=8.0
)
"""For triggers that nobody named. What drifted most for its curvature goes back; then a student's answers are learnt
while all drift shrinks by exp(−8): what clean texts do not ask for again is gone. Ours; where the anchor was chosen is
in docs/methods/graft.md."""

FINE_TUNING: Final = ResetDefence(indicator=None, replacement="reference", ratio=0.0)
"""Nothing is scored and nothing reset: no paper's method but every paper's baseline. With few samples it usually leaves
a backdoor in place: clean samples do not hold the trigger, so nothing in their loss asks for it to be forgotten."""

NAD: Final = ResetDefence(indicator=None, replacement="reference", ratio=0.0, teacher="fine-tuned")
"""Nothing is reset. A copy of the suspect is fine-tuned on the clean samples; then the suspect is, and the attention
maps of its layers are drawn to the copy's. Source: Li, Lyu, Koren, Lyu, Li, Ma, "Neural Attention Distillation", ICLR
2021, arXiv:2101.05930, for images."""
