"""How far r = δ²/Ĥ of a suspect is from the law of clean drift. A description, never a test.

On weights tuned by Adam the drift of unpoisoned models does not follow curvature either, so a bad fit is no finding and
there is no p-value here.
"""

from dataclasses import dataclass
from math import log
from typing import Final, final

import torch
from scipy.special import digamma, polygamma
from scipy.stats import gamma as gamma_law
from torch import Tensor

from purify_cli.drift import drift
from purify_cli.indicators.sampling import sample_places
from purify_cli.tensors import TensorSource

__all__ = ["LAW_RATIO", "GammaFit", "fit_gamma", "sample_ordinary"]

LAW_RATIO: Final = float(gamma_law.ppf(0.99, 0.5) / gamma_law.ppf(0.5, 0.5))
"""99 % quantile over median under Gamma(1/2): 14.6."""
_SAMPLE: Final = 100_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GammaFit:
    """The fit of r to the Gamma(1/2, 2k) law of clean drift; a description, never a test (see docs/footguns.md).

    All null for a sample of fewer than two values.
    """

    k: float | None
    """Most likely k of Gamma(1/2, scale 2k): the mean of r."""
    shape: float | None
    """Most likely shape where it is free as well; 0.5 under the law, smaller for a heavier tail."""
    ks_distance: float | None
    """Kolmogorov-Smirnov distance to Gamma(1/2, 2k), 0 to 1."""
    quantile_ratio: float | None
    """99 % quantile over median; 14.6 under the law."""
    entries: int


def sample_ordinary(
    suspect: TensorSource,
    reference: TensorSource,
    curvature: TensorSource,
    scores: TensorSource,
    *,
    seed: int,
    entries: int = _SAMPLE,
) -> Tensor:
    """Read r of a seeded sample of ordinary dimensions.

    Ordinary are those that moved, have curvature, and that the guarded scores do not silence (score > 0): no key biases
    without effect, no rows of pure weight decay, nothing unseen by the clean data.

    Args:
        suspect: Comparable dimensions.
        reference: The same, cast to the suspect's types.
        curvature: Ĥ; tensors that it lacks are left out.
        scores: Guarded scores; only whether they are > 0 matters.
        seed: Fixes the places.
        entries: Dimensions looked at; r is fewer.

    Returns:
        Shape (k,), float64, > 0.
    """
    moves = drift(suspect, reference)
    sizes = {name: spec.numel for name, spec in scores.specs.items() if name in curvature.specs}
    parts = [torch.empty(0, dtype=torch.float64)]
    for place in sample_places(sizes, entries=entries, seed=seed):
        bent, delta = curvature.read(*place).double(), moves.read(*place).double()
        ordinary = (bent > 0) & (delta != 0) & (scores.read(*place) > 0)
        parts.append(delta[ordinary].square() / bent[ordinary])
    return torch.cat(parts)


def fit_gamma(r: Tensor) -> GammaFit:
    """Fit the law to a sample.

    Args:
        r: Shape (n,), > 0.

    Returns:
        The scale under shape 1/2, the free shape, and two measures of fit.
    """
    if len(r) < 2 or bool((r == r[0]).all()):
        return GammaFit(k=None, shape=None, ks_distance=None, quantile_ratio=None, entries=len(r))
    values = torch.sort(r.double()).values
    k = float(values.mean())
    cumulated = gamma_law.cdf(values.numpy(), 0.5, scale=2 * k)
    steps = torch.arange(len(values) + 1).double().numpy() / len(values)
    distance = max(float((steps[1:] - cumulated).max()), float((cumulated - steps[:-1]).max()))
    low, high = values[len(values) // 2], values[min(int(0.99 * len(values)), len(values) - 1)]
    return GammaFit(
        k=k,
        shape=_shape(log(k) - float(values.log().mean())),
        ks_distance=distance,
        quantile_ratio=float(high / low),
        entries=len(values),
    )


def _shape(gap: float) -> float | None:
    """Solve log(a) − ψ(a) = log(mean) − mean(log) for the shape a.

    Start and Newton step on 1/a: Minka, "Estimating a Gamma distribution", 2002, equation 9; four steps reach machine
    precision from there.
    """
    if not 1e-8 < gap < 1e3:  # values that are all alike or span hundreds of decades have no shape worth a number
        return None
    a = (3 - gap + ((gap - 3) ** 2 + 24 * gap) ** 0.5) / (12 * gap)
    for _ in range(6):
        a = 1 / (1 / a + (log(a) - float(digamma(a)) - gap) / (a**2 * (1 / a - float(polygamma(1, a)))))
    return a
