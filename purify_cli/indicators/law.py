"""The law of r = δ²/Ĥ, and how to tell two populations of it apart.

If δ ~ N(0, k·H) then r = δ²/H = k·χ²₁, a Gamma law of shape 1/2 and scale 2k. With Ĥ the mean of n squared Gaussian
gradients r is k·F(1, n): the same with a heavier tail, and Gamma is its limit for n → ∞. With poison r is a mixture,
share ρ with scale k_C and share 1 − ρ with k_P > k_C.

EM. With t² = r/k the density is, up to what does not depend on k, log f = −½·log k − ½·(n+1)·log(1 + t²/n). F(1, n) is
the square of a Student variable, a normal one whose precision is itself drawn; given r, that precision has mean
u = (n+1)/(n + r/k), and u = 1 for n = ∞. With τ the responsibility of a population, the maximum over k of the expected
complete log-likelihood is

    k ← Σ τ·u·r / Σ τ,      ρ ← mean of the clean τ,

closed forms that never lower the likelihood (Dempster, Laird, Rubin 1977; Liu, Rubin 1995 for u). The start splits the
sorted r, which by itself would find "poison" in any sample, so a fit is judged by its gain over one population.

On weights tuned by Adam neither law holds (the tail is far heavier), so no p-value follows from any of this.

Source:
    arXiv:2305.04547 for the two Gamma laws; F(1, n) and the updates are derived above.
"""

from dataclasses import dataclass
from math import inf, isinf, log
from typing import Final, final

import torch
from torch import Tensor

from purify_cli.errors import DataError
from purify_cli.indicators.scores import LARGEST

__all__ = ["Mixture", "fit_mixture", "fit_scale"]

_STARTS: Final = (0.5, 0.9, 0.99)
"""Shares of the sorted sample that a start calls clean; the most likely end is kept."""
_STEPS: Final = 500
_ENOUGH: Final = 1e-10
"""Gain in mean log-likelihood per step below which EM stops."""


def _log_density(r: Tensor, scale: float, samples: float) -> Tensor:
    """Log density up to terms that no scale enters. Shape (n,)."""
    if isinf(samples):
        return -0.5 * r / scale - 0.5 * log(scale)
    return -0.5 * (samples + 1) * torch.log1p(r / (scale * samples)) - 0.5 * log(scale)


def _update(r: Tensor, weight: Tensor, scale: float, samples: float) -> float:
    pull = 1.0 if isinf(samples) else (samples + 1) / (samples + r / scale)
    # An empty population keeps a scale, or its logarithm would end the run.
    return max(float((weight * pull * r).sum() / weight.sum().clamp_min(1e-300)), 1e-300)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Two populations of r."""

    clean_scale: float
    """k_C, in the unit of r."""
    poison_scale: float
    """k_P ≥ k_C."""
    clean_share: float
    """ρ."""
    samples: float
    """n of F(1, n); infinity for Gamma."""
    gain: float
    """Mean log-likelihood per entry beyond one population, in nats; about 0 where there is only one."""
    entries: int
    """Entries fitted."""

    def clean_probability(self, scores: Tensor) -> Tensor:
        """p(clean | r) = 1 / (1 + (1−ρ)/ρ · f(r; k_P)/f(r; k_C)).

        Args:
            scores: Shape (n,), r ≥ 0; a negative one (class before all others) counts as the largest r there is.

        Returns:
            Shape (n,), float64; never rises with r.
        """
        r = scores.double()
        r = torch.where(r < 0, LARGEST, r)
        if self.clean_share >= 1.0 or self.clean_share <= 0.0:
            return torch.full_like(r, self.clean_share)
        odds = _log_density(r, self.poison_scale, self.samples) - _log_density(r, self.clean_scale, self.samples)
        return torch.sigmoid(-(odds + log((1 - self.clean_share) / self.clean_share)))


def fit_scale(r: Tensor, samples: float = inf) -> float:
    """Fit one population: the most likely k (the mean of r for Gamma). ``r`` has shape (n,), > 0."""
    scale, weight = float(r.median()) / 0.455, torch.ones_like(r)
    for _ in range(_STEPS):
        before, scale = scale, _update(r, weight, scale, samples)
        if abs(scale - before) <= 1e-12 * before:
            break
    return scale


def fit_mixture(scores: Tensor, samples: float = inf, *, clean_share: float | None = None) -> Mixture:
    """Fit two populations by EM.

    Args:
        scores: Shape (n,), r; only values > 0 are used, the others belong to no population (not moved, degenerate).
        samples: Effective number n of curvature samples, or infinity for the Gamma law.
        clean_share: Prior share ρ of clean dimensions in (0, 1), for example 1 − ratio; fitted if None.

    Raises:
        DataError: If fewer than 100 values are > 0.
    """
    r = scores.double()[scores > 0]
    if len(r) < 100:
        raise DataError(
            f"only {len(r)} of {len(scores)} sampled dimensions moved, too few for a fit",
            hint="Is the suspect the reference itself? Use a hard reset.",
        )
    unit = float(r.median())
    r = r / unit
    single = fit_scale(r, samples)
    alone = float(_log_density(r, single, samples).mean())
    starts = _STARTS if clean_share is None else (clean_share,)
    ends = [_climb(r, start, samples, fixed=clean_share is not None) for start in starts]
    clean, poison, share, likelihood = max(ends, key=lambda end: end[3])
    if clean > poison and clean_share is None:
        clean, poison, share = poison, clean, 1 - share
    elif clean > poison:
        clean, poison, likelihood = single, single, alone
    return Mixture(
        clean_scale=clean * unit,
        poison_scale=poison * unit,
        clean_share=share,
        samples=samples,
        gain=likelihood - alone,
        entries=len(r),
    )


def _climb(r: Tensor, share: float, samples: float, *, fixed: bool) -> tuple[float, float, float, float]:
    """Run EM from a split of the sorted sample; return k_C, k_P, ρ and the mean log-likelihood."""
    cut = torch.quantile(r[:: max(1, len(r) // 100_000)], share)
    clean, poison = float(r[r <= cut].mean()), float(r[r >= cut].mean())
    previous = likelihood = -inf
    for _ in range(_STEPS):
        low = _log_density(r, clean, samples) + log(max(share, 1e-300))
        high = _log_density(r, poison, samples) + log(max(1 - share, 1e-300))
        both = torch.logaddexp(low, high)
        likelihood = float(both.mean())
        if likelihood - previous < _ENOUGH:
            break
        previous = likelihood
        weight = torch.exp(low - both)
        clean, poison = _update(r, weight, clean, samples), _update(r, 1 - weight, poison, samples)
        share = share if fixed else float(weight.mean())
    return clean, poison, share, likelihood
