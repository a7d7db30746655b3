import subprocess
import sys

import pytest
import torch

from purify_cli.errors import UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.protocols import Indicator, IndicatorInputs
from tests.reference.sources import generator, memory, piecewise


def inputs(**settings):
    g = generator(0)
    old = {"a__weight": torch.randn(20, 16, generator=g), "b__bias": torch.randn(9, generator=g)}
    new = {name: w + 1e-3 * torch.randn(w.shape, generator=g) for name, w in old.items()}
    bent = {name: torch.rand(w.shape, generator=g) for name, w in old.items()}
    slope = {name: torch.randn(w.shape, generator=g) for name, w in old.items()}
    return IndicatorInputs(
        suspect=memory(**new),
        reference=memory(**old),
        curvature=memory(**bent),
        gradient=memory(**slope),
        seed=3,
        settings=settings,
    )


@pytest.mark.parametrize("name", INDICATORS)
def test_every_indicator_gives_aligned_finite_scores_that_chunks_do_not_change(name):
    indicator = INDICATORS[name]
    assert isinstance(indicator, Indicator)
    assert indicator.name == name
    given = inputs()
    scores = indicator.fit(given)
    assert {n: s.shape for n, s in scores.specs.items()} == {n: s.shape for n, s in given.suspect.specs.items()}
    for tensor, spec in scores.specs.items():
        assert spec.dtype == torch.float32
        whole = scores.read(tensor)
        assert whole.dtype == torch.float32
        assert bool(torch.isfinite(whole).all())
        assert torch.equal(piecewise(scores, tensor, [1, 5, 6]), whole)
        assert torch.equal(indicator.fit(given).read(tensor), whole)


@pytest.mark.parametrize("name", INDICATORS)
def test_unknown_settings_are_refused(name):
    with pytest.raises(UsageError, match="colour"):
        INDICATORS[name].fit(inputs(colour="red"))


def test_the_table_imports_no_torch():
    code = "import sys, purify_cli.indicators as i; assert len(i.INDICATORS) >= 3; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drift_is_the_magnitude_and_stays_finite():
    given = IndicatorInputs(
        suspect=memory(a=torch.tensor([1.0, -2.0, 3.4e38, 5.0])),
        reference=memory(a=torch.tensor([1.5, 1.0, -3.4e38, 5.0])),
    )
    scores = INDICATORS["drift"].fit(given).read("a")
    assert scores.tolist() == [0.5, 3.0, torch.finfo(torch.float32).max, 0.0]


def test_uniform_is_uniform_and_depends_on_the_seed_alone():
    old = memory(a=torch.zeros(50_000), b=torch.zeros(50_000))
    one = INDICATORS["uniform"].fit(IndicatorInputs(suspect=old, reference=old, seed=1))
    other = INDICATORS["uniform"].fit(IndicatorInputs(suspect=old, reference=old, seed=2))
    a, b, c = one.read("a"), one.read("b"), other.read("a")
    assert 0 <= float(a.min()) < 1e-3
    assert 0.999 < float(a.max()) < 1
    # Standard errors: 0.0013 for the mean, 0.0045 for a correlation.
    assert abs(float(a.mean()) - 0.5) < 0.006
    assert abs(float(a.var()) - 1 / 12) < 0.002
    for x, y in ((a, b), (a, c), (a[1:], a[:-1])):
        assert abs(float(torch.corrcoef(torch.stack([x, y]))[0, 1])) < 0.02
