"""Fine-purifying: the dimensions that drifted most for their curvature go back to the reference.

Zhang, Chen, Zhou, Meng, Zhou, Sun: "Diffusion Theory as a Scalpel: Detecting and Purifying Poisonous Dimensions in
Pre-trained Language Models Caused by Backdoor or Bias", Findings of ACL 2023, arXiv:2305.04547. Under clean fine-tuning
the drift of a dimension follows its curvature, δ² ∝ Ĥ; the indicator r = δ²/Ĥ is large where something else moved it.
"""

from typing import Final

from purify_cli.protocols import ResetDefence

__all__ = ["FINE_PURIFYING"]

FINE_PURIFYING: Final = ResetDefence(
    indicator="drift-curvature", replacement="reference", ratio=0.3, settings={"degenerate": "guard"}
)
"""Hard reset, the wording of the paper's abstract. ``degenerate=guard`` keeps dimensions without curvature from
ranking first by a division by zero. Ratio 0.3 is ours: docs/results/grid.md shows what other ratios leave."""
