"""Curvature, and how sums of squares become it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from purify_cli.errors import CheckpointError, UsageError

__all__ = ["Curvature", "mean_of_squares", "means_of"]


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


def mean_of_squares(sums: Mapping[str, Tensor], norms: Sequence[Tensor], estimator: str) -> Curvature:
    """Divide sums of squared per-sample gradients by the number of samples.

    Args:
        sums: By parameter; changed in place. float32: adding n squares in any order is wrong by at most n·6e-8
            relatively, and all terms are positive.
        norms: For each batch every sample's squared gradient norm, shape (B,).
        estimator: As of ``Curvature``.

    Raises:
        UsageError: If there is no sample.
        CheckpointError: If an entry is not finite.
    """
    means = means_of(sums, sum(len(part) for part in norms))
    # On the CPU first: Apple's GPUs have no float64.
    pooled = torch.cat([part.cpu().double() for part in norms])
    # Scaled so that squaring neither overflows nor underflows.
    shares = pooled / pooled.max().clamp(min=torch.finfo(torch.float64).tiny)
    squares = float(shares.square().sum())
    return Curvature(
        tensors=means,
        samples=len(pooled),
        effective_samples=float(shares.sum()) ** 2 / squares if squares else 0.0,
        estimator=estimator,
    )


def means_of(sums: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Divide sums, in place, by how many terms they have; float32 on the CPU.

    Raises:
        UsageError: If they have none.
        CheckpointError: If an entry is not finite.
    """
    if not count:
        raise UsageError("there are no samples to compute the curvature from", hint="Give at least one text.")
    means = {name: total.div_(count).float().cpu() for name, total in sums.items()}
    for name, mean in means.items():
        # A sum is not finite if an entry is not; entries that only overflow together are caught by the second look.
        if not torch.isfinite(mean.sum()) and not torch.isfinite(mean).all():
            raise CheckpointError(
                f"the curvature of {name} is not finite",
                hint="The suspect's weights make gradients overflow; look at its largest weights.",
            )
    return means
