"""Detection figures, which stream the scores, against ranks of all entries at once."""

import pytest
import torch
from scipy.stats import rankdata

from purify_cli.bench.figures import detection_figures
from purify_cli.errors import DataError
from purify_cli.selection.mask import build_mask
from purify_cli.tensors import InMemory

SHAPES = {"a": (40, 50), "b": (1000,)}


def source(seed: int, *, digits: int) -> InMemory:
    """Scores, rounded so that many are equal."""
    draws = torch.Generator().manual_seed(seed)
    return InMemory({name: torch.rand(shape, generator=draws).round(decimals=digits) for name, shape in SHAPES.items()})


@pytest.mark.parametrize("digits", [1, 2, 6])
def test_ranks_hits_and_auroc_are_those_of_all_entries_sorted(digits: int) -> None:
    scores, planted = source(0, digits=digits), build_mask(source(1, digits=6), 0.02)
    found = detection_figures(scores, planted)
    values = torch.cat([scores.read(name) for name in SHAPES]).double().numpy()
    own = torch.cat([planted.read(name) for name in SHAPES]).numpy()
    rank = rankdata(-values)
    assert (found["planted"], found["dimensions"]) == (60, 3000)
    assert found["mean_rank"] == pytest.approx((100 * rank / 3000)[own].mean())
    higher = values[own][:, None] > values[~own]
    equal = values[own][:, None] == values[~own]
    assert found["auroc"] == pytest.approx((higher + equal / 2).mean())
    for cut, best in ((0.01, 0.5), (0.001, 0.05)):
        first = round(cut * 3000)
        above, same = (values > values[own][:, None]).sum(1), (values == values[own][:, None]).sum(1)
        assert found["hits"][str(cut)] == pytest.approx(((first - above) / same).clip(0, 1).mean())
        assert found["best_hits"][str(cut)] == best


def test_a_mask_of_nothing_of_all_or_of_another_model_is_refused() -> None:
    scores = source(0, digits=6)
    for ratio, said in ((0.0, "0 of 3000 dimensions"), (1.0, "3000 of 3000 dimensions")):
        with pytest.raises(DataError, match=said):
            detection_figures(scores, build_mask(scores, ratio))
    with pytest.raises(DataError, match="of another model"):
        detection_figures(InMemory({"a": torch.rand(3)}), build_mask(scores, 0.5))
