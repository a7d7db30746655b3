"""Seeded noise: resets a random set of dimensions, which with a hard reset is Fine-mixing.

Source:
    Zhang, Lyu, Ma, Wang, Sun, "Fine-mixing: Mitigating Backdoors in Fine-tuned Language Models", Findings of EMNLP
    2022, arXiv:2210.09545. Exactly round(ratio · d) resets instead of independent draws, so that methods compare at
    equal ratio.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from purify_cli.indicators.scores import Scores, score_specs
from purify_cli.progress import Progress
from purify_cli.protocols import Indicator, IndicatorInputs
from purify_cli.runtime import entry_hash

__all__ = ["UNIFORM"]


def _score(inputs: IndicatorInputs, settings: Mapping[str, Any], progress: Progress) -> Scores:
    """Return the noise; neither weights nor curvature are read."""
    del settings, progress

    def chunk(name: str, start: int, stop: int) -> Tensor:
        bits = entry_hash(name, start, stop, seed=inputs.seed)
        # 24 high bits are what float32 holds exactly, so the value is uniform on a grid of 2^-24.
        return (bits >> 40).bitwise_and_(0xFFFFFF).to(torch.float32).mul_(2.0**-24)

    return Scores(score_specs(inputs.suspect), chunk)


UNIFORM: Final = Indicator(name="uniform", score=_score)
"""Uniform scores in [0, 1) that depend on the seed, the tensor's name and the index alone."""
