"""Seeded noise: resets a random set of dimensions, which with a hard reset is Fine-mixing.

Source:
    Zhang, Lyu, Ma, Wang, Sun, "Fine-mixing: Mitigating Backdoors in Fine-tuned Language Models", Findings of EMNLP
    2022, arXiv:2210.09545. Exactly round(ratio · d) resets instead of independent draws, so that methods compare at
    equal ratio.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from torch import Tensor

from purify_cli.indicators.settings import merged, score_specs
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import IndicatorInputs
from purify_cli.runtime import entry_hash
from purify_cli.tensors import TensorSource, TensorSpec

__all__ = ["UNIFORM", "Uniform"]


@final
@dataclass(frozen=True, slots=True)
class _Noise:
    specs: Mapping[str, TensorSpec]
    seed: int

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        stop = self.specs[name].numel if stop is None else stop
        bits = entry_hash(name, start, stop, seed=self.seed)
        # 24 high bits are what float32 holds exactly, so the value is uniform on a grid of 2^-24.
        return (bits >> 40).bitwise_and_(0xFFFFFF).to(torch.float32).mul_(2.0**-24)


@final
@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform scores in [0, 1) that depend on the seed, the tensor's name and the index alone."""

    name: str = "uniform"
    needs_curvature: bool = False
    needs_triggers: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse any setting; there is none.

        Raises:
            UsageError: If one is given.
        """
        return merged(self.name, self.defaults, settings)

    def fit(self, inputs: IndicatorInputs, progress: Progress = SILENT) -> TensorSource:
        """Return the noise; neither weights nor curvature are read.

        Raises:
            UsageError: If a setting is given; there is none (the seed is the run's).
        """
        del progress
        self.check(inputs.settings)
        return _Noise(score_specs(inputs.suspect), inputs.seed)


UNIFORM: Final = Uniform()
