from math import inf, isinf

import numpy as np
import pytest
import torch
from scipy import stats

from purify_cli.errors import DataError
from purify_cli.indicators.law import Mixture, fit_mixture, fit_scale
from tests.reference.sources import generator


def draw(count, samples, seed, scale=1.0):
    """r = δ²/Ĥ of δ ~ N(0, k·H) and Ĥ from n Gaussian gradients of variance H."""
    g = generator(seed)
    curvature = torch.exp(2 * torch.randn(count, generator=g)).double()
    delta = torch.randn(count, generator=g).double() * (scale * curvature).sqrt()
    if isinf(samples):
        return delta**2 / curvature
    return delta**2 / (curvature * torch.randn(int(samples), count, generator=g).double().square().mean(0))


def test_the_indicator_follows_f_and_not_gamma():
    r = draw(20_000, 16, seed=0, scale=3.0).numpy()
    assert stats.kstest(r / 3, stats.f(1, 16).cdf).pvalue > 0.01
    assert stats.kstest(r / 3, stats.gamma(0.5, scale=2).cdf).pvalue < 1e-3
    assert stats.kstest(draw(20_000, inf, seed=0).numpy(), stats.gamma(0.5, scale=2).cdf).pvalue > 0.01


@pytest.mark.parametrize("samples", [16.0, inf])
def test_em_recovers_share_and_scales(samples):
    r = draw(100_000, samples, seed=1, scale=1e-7)
    r[:5000] *= 20
    fit = fit_mixture(r, samples)
    assert fit.clean_share == pytest.approx(0.95, abs=0.01)
    assert fit.clean_scale == pytest.approx(1e-7, rel=0.05)
    assert fit.poison_scale / fit.clean_scale == pytest.approx(20, rel=0.15)
    assert fit.gain > 0.02


def test_one_population_gains_nothing_under_its_own_law_and_something_under_the_wrong_one():
    r = draw(20_000, 16, seed=2)
    assert fit_mixture(r, 16.0).gain < 1e-4
    assert fit_mixture(r).gain > 1e-3
    assert fit_mixture(draw(20_000, inf, seed=3)).gain < 1e-4


@pytest.mark.parametrize("samples", [8.0, inf])
def test_scale_of_one_population(samples):
    r = draw(100_000, samples, seed=4, scale=5.0)
    assert fit_scale(r, samples) == pytest.approx(5.0, rel=0.03)
    if isinf(samples):
        assert fit_scale(r) == pytest.approx(float(r.mean()))


@pytest.mark.parametrize("samples", [12.5, inf])
def test_posterior_equals_bayes_with_scipys_densities(samples):
    fit = Mixture(clean_scale=2.0, poison_scale=30.0, clean_share=0.9, samples=samples, gain=0.0, entries=1)
    r = torch.logspace(-3, 2.5, 50, dtype=torch.float64)

    def density(k):
        if isinf(samples):
            return stats.gamma(0.5, scale=2 * k).pdf(r.numpy())
        return stats.f(1, samples, scale=k).pdf(r.numpy())

    clean, poison = 0.9 * density(2.0), 0.1 * density(30.0)
    found = fit.clean_probability(r)
    np.testing.assert_allclose(found.numpy(), clean / (clean + poison), rtol=1e-9)
    assert bool((found.diff() <= 0).all())
    assert float(fit.clean_probability(torch.tensor([-1e-9]))) <= float(found[-1])


def test_a_given_share_is_kept():
    r = draw(20_000, inf, seed=5)
    r[:2000] *= 50
    fit = fit_mixture(r, clean_share=0.7)
    assert fit.clean_share == 0.7
    assert fit.clean_scale < fit.poison_scale
    certain = Mixture(clean_scale=1.0, poison_scale=2.0, clean_share=1.0, samples=inf, gain=0.0, entries=1)
    assert certain.clean_probability(torch.ones(3)).tolist() == [1.0, 1.0, 1.0]


def test_what_did_not_move_belongs_to_no_population():
    r = draw(5000, inf, seed=6)
    padded = torch.cat([r, torch.zeros(5000).double()])
    assert fit_mixture(padded) == fit_mixture(r)
    with pytest.raises(DataError, match="moved"):
        fit_mixture(torch.zeros(5000))
