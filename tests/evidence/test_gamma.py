import pytest
import torch
from scipy import stats

from purify_cli.evidence.gamma import LAW_RATIO, fit_gamma, sample_ordinary
from tests.reference.sources import generator, memory


def test_a_sample_of_the_law_fits_it():
    r = 3 * torch.randn(50_000, generator=generator(0)).double().square()
    fit = fit_gamma(r)
    assert fit.k == pytest.approx(3, rel=0.03)
    assert fit.shape == pytest.approx(0.5, rel=0.03)
    assert fit.ks_distance is not None
    assert fit.ks_distance < 0.01
    assert fit.quantile_ratio == pytest.approx(LAW_RATIO, rel=0.1)
    assert pytest.approx(14.6, abs=0.05) == LAW_RATIO
    assert fit.entries == 50_000


def test_the_fit_equals_scipys():
    r = torch.distributions.Gamma(torch.tensor(0.2), torch.tensor(1.0)).sample((3000,)).double().clamp_min(1e-30)
    fit = fit_gamma(r)
    shape, _, _ = stats.gamma.fit(r.numpy(), floc=0)
    assert fit.shape == pytest.approx(shape, rel=1e-4)
    assert fit.ks_distance == pytest.approx(stats.kstest(r.numpy(), stats.gamma(0.5, scale=2 * fit.k).cdf).statistic)


def test_a_heavier_tail_shows():
    g = generator(1)
    r = torch.randn(20_000, generator=g).double().square() * torch.exp(4 * torch.randn(20_000, generator=g).double())
    fit = fit_gamma(r)
    assert fit.shape is not None
    assert fit.ks_distance is not None
    assert fit.quantile_ratio is not None
    assert fit.shape < 0.3
    assert fit.ks_distance > 0.2
    assert fit.quantile_ratio > 100


@pytest.mark.parametrize("r", [torch.empty(0), torch.ones(1), torch.full((9,), 2.0)])
def test_too_little_to_fit_gives_nothing(r):
    fit = fit_gamma(r.double())
    assert (fit.k, fit.shape, fit.ks_distance, fit.quantile_ratio, fit.entries) == (None, None, None, None, len(r))


def test_only_ordinary_dimensions_are_sampled():
    old = torch.zeros(1000)
    new, bent, score = torch.ones(1000), torch.full((1000,), 4.0), torch.ones(1000)
    new[:100], bent[100:200], score[200:300] = 0.0, 0.0, 0.0
    sources = [memory(a=tensor, lone=torch.ones(50)) for tensor in (new, old, score)]
    r = sample_ordinary(sources[0], sources[1], memory(a=bent), sources[2], seed=0)
    assert bool((r == 0.25).all())
    assert len(r) == 700
    fewer = sample_ordinary(sources[0], sources[1], memory(a=bent), sources[2], seed=0, entries=500)
    assert 200 <= len(fewer) <= 500


def test_values_that_hardly_differ_have_no_shape():
    spread = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).abs()
    assert fit_gamma(1 + 1e-8 * spread).shape is None
