"""Curvature, and the running sums that become it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from purify_cli.errors import CheckpointError

__all__ = ["Accumulator", "Curvature"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Curvature:
    """An estimate Ĥ of the diagonal curvature of the loss, per parameter name of a module."""

    tensors: Mapping[str, Tensor]
    """Parameter name → float32 tensor of the parameter's shape, on the CPU. A tied parameter appears once."""
    samples: int
    """Number n of samples it is a mean over."""
    effective_samples: float
    """n_eff = (Σ s_j)² / Σ s_j², with s_j sample j's share of the trace: the number of equally large
    samples that would vary as much. Between 1 and n; 0 if every gradient is zero; n for Hutchinson's estimate."""
    estimator: str
    """``empirical``, ``true`` or ``hutchinson``, or the name given to an objective of the caller's."""
    clamped: float = 0.0
    """Share of entries below zero, which ``nonnegative`` clamps. Squares have none."""

    def nonnegative(self) -> dict[str, Tensor]:
        """Return the tensors with negative entries set to zero, as indicators expect them."""
        if not self.clamped:
            return dict(self.tensors)
        return {name: tensor.clamp(min=0) for name, tensor in self.tensors.items()}


@final
class Accumulator:
    """Sums of squared per-sample gradients, and each sample's squared gradient norm.

    Sums are float32: adding n squares in any order is wrong by at most n·6e-8 relatively, and all terms are positive.

    Args:
        parameters: Parameters by name; sums start at zero, on the parameter's device.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.sums = {n: torch.zeros_like(p, memory_format=torch.contiguous_format) for n, p in parameters.items()}
        self._norms: list[Tensor] = []

    def start(self, size: int, device: torch.device) -> Tensor:
        """Open a batch of ``size`` samples; return the (size,) tensor that its squared norms are to be added to."""
        self._norms.append(torch.zeros(size, device=device))
        return self._norms[-1]

    def finish(self, estimator: str) -> Curvature:
        """Divide by the number of samples.

        Raises:
            CheckpointError: If an entry is not finite.
        """
        # On the CPU first: Apple's GPUs have no float64.
        norms = torch.cat([norms.cpu().double() for norms in self._norms])
        # Scaled so that squaring neither overflows nor underflows.
        shares = norms / norms.max().clamp(min=torch.finfo(torch.float64).tiny)
        squares = float(shares.square().sum())
        means = {name: total.div_(len(norms)).float().cpu() for name, total in self.sums.items()}
        _require_finite(means.items())
        return Curvature(
            tensors=means,
            samples=len(norms),
            effective_samples=float(shares.sum()) ** 2 / squares if squares else 0.0,
            estimator=estimator,
        )


def _require_finite(tensors: Iterable[tuple[str, Tensor]]) -> None:
    for name, tensor in tensors:
        # A sum is not finite if an entry is not; entries that only overflow together are caught by the second look.
        if not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"the curvature of {name} is not finite",
                hint="The suspect's weights make gradients overflow; look at its largest weights.",
            )
