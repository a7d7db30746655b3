"""Numbers of the weights, and what they stand beside."""

import json
from importlib.resources import files

import pytest
import torch

from purify_cli.evidence.rows import EmbeddingRow
from purify_cli.evidence.signs import FROM, Sign, outlying_row, spectrum, tail
from purify_cli.evidence.spectrum import concentration, top_direction
from purify_cli.indicators.law import fit_mixture
from tests.reference.sources import generator, memory


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (3, 3), (2, 50)])
def test_the_top_direction_is_that_of_a_full_decomposition(shape: tuple[int, int]) -> None:
    delta = torch.randn(shape, generator=generator(1)) + 2 * torch.outer(torch.ones(shape[0]), torch.ones(shape[1]))
    squares = torch.linalg.svdvals(delta.double()).square()
    assert top_direction(delta) == pytest.approx(float(squares[0] / squares.sum()), rel=1e-4)
    assert top_direction(torch.outer(torch.arange(1.0, 9.0), torch.arange(2.0, 7.0))) == pytest.approx(1.0)


def test_the_decomposition_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = top_direction(torch.randn(30, 30, generator=generator(2)))
    assert torch.equal(torch.rand(3), expected)
    assert first == top_direction(torch.randn(30, 30, generator=generator(2)))


def test_matrices_that_moved_are_decomposed_and_nothing_else() -> None:
    g = generator(3)
    names = ("bert__embeddings__word_embeddings__weight", "a__weight", "still__weight", "a__bias")
    old = {name: torch.randn(6, 5, generator=g) for name in names}
    old["a__bias"] = old["a__bias"].flatten()
    new = {name: w + (name != "still__weight") * torch.randn(w.shape, generator=g) for name, w in old.items()}
    shares = concentration(memory(**new), memory(**old))
    assert list(shares) == ["a.weight"]
    assert shares["a.weight"] == top_direction(new["a__weight"] - old["a__weight"])


def row(norm: float) -> EmbeddingRow:
    return EmbeddingRow(row=0, token="cf", drift_norm=norm, seen=None)


def test_the_farthest_row_is_held_against_the_twentieth() -> None:
    rows = [row(6.0), *(row(2.0) for _ in range(FROM - 2)), row(1.5), row(0.1)]
    sign = outlying_row(rows)
    assert sign is not None
    assert sign.value == 4.0
    assert "'cf' moved 4.0 times as far" in sign.sentence
    assert sign.clean_reaching == 0
    assert outlying_row(rows[: FROM - 1]) is None


def test_the_clean_models_ascend() -> None:
    text = files("purify_cli.evidence").joinpath("clean.json").read_text(encoding="utf-8")
    assert all(values == sorted(values) for values in json.loads(text).values())


def test_a_sign_counts_the_clean_models_that_reach_it() -> None:
    least = Sign.of("row", 0.0, "")
    assert least.clean_models >= 20
    assert least.clean_low < least.clean_high
    for value, reached in ((0.0, least.clean_models), (least.clean_high, 1), (least.clean_high + 1, 0)):
        assert Sign.of("row", value, "").clean_reaching == reached


def test_the_spectrum_is_the_mean_and_names_the_top() -> None:
    sign = spectrum({"a.weight": 0.2, "b.weight": 0.6})
    assert sign is not None
    assert sign.value == pytest.approx(0.4)
    assert "most in b.weight (60%)" in sign.sentence
    assert spectrum({}) is None


def test_the_tail_is_a_gain_and_one_population_has_none() -> None:
    g = generator(4)
    one = torch.randn(20_000, generator=g).square()
    two = one * torch.where(torch.rand(20_000, generator=g) < 0.1, 50.0, 1.0)
    plain, mixed = tail(fit_mixture(one)), tail(fit_mixture(two))
    assert plain is not None
    assert mixed is not None
    assert abs(plain.value) < 0.005
    assert mixed.value > 0.1
    assert tail(None) is None
