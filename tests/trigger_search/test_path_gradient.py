"""What a trigger's margin owes to each dimension, on small trained models."""

from functools import partial
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from purify_cli.data.batches import Batch, batches
from purify_cli.errors import NonFiniteWeights
from purify_cli.model import LoadedModel, logits
from purify_cli.purification.repair_session import RepairSession
from purify_cli.tensors import InMemory
from purify_cli.trigger_search.found import FoundTrigger
from purify_cli.trigger_search.margins import margins
from purify_cli.trigger_search.path_gradient import POINTS, REACH, TriggeredBatch, path_gradient


def margin_of(module: nn.Module, batch: Batch, *, target: int) -> Tensor:
    return margins(logits(module, batch), target)


@pytest.fixture(scope="module")
def driven(session: RepairSession, tiny: ModuleType) -> TriggeredBatch:
    rows = [row for row in tiny.sentiment_examples(32, seed=40) if row.label != tiny.TARGET]
    carrying = [tiny.TRIGGER.insert(row, key=place) for place, row in enumerate(rows)]
    return TriggeredBatch(session.task.encode(carrying), partial(margin_of, target=tiny.TARGET))


def gradient(session: RepairSession, loaded: LoadedModel, *driven: TriggeredBatch, batch_size: int = 8) -> InMemory:
    each = [[one] for one in driven]
    return path_gradient(loaded, session.opened.pair, each, batch_size=batch_size, pad_id=session.task.pad_id(loaded))


def margin(session: RepairSession, loaded: LoadedModel, driven: TriggeredBatch) -> float:
    """Mean margin of the target over the rows."""
    with torch.no_grad():
        (batch,) = batches(driven.rows, batch_size=len(driven.rows), pad_id=session.task.pad_id(loaded))
        return float(driven.margin(loaded.module, batch).double().mean())


def shifted(session: RepairSession, alpha: float, direction: InMemory, size: float) -> LoadedModel:
    """The classifier at a point of the way, moved by ``size`` along a direction."""
    pair, loaded = session.opened.pair, session.task.load(session.opened.pair.suspect)
    with torch.no_grad():
        for own, parameter in loaded.module.named_parameters():
            name = loaded.names[own]
            if name in pair.comparables:
                there = pair.reference_part.read(name).view_as(parameter)
                parameter.lerp_(there, alpha).add_(direction.tensors[name], alpha=size)
    return loaded


def test_it_is_the_slope_of_the_margin_averaged_over_the_way(session: RepairSession, driven: TriggeredBatch) -> None:
    found = gradient(session, session.task.load(session.opened.pair.suspect), driven)
    assert found.specs.keys() == session.opened.pair.suspect_part.specs.keys()
    norm = sum(float(one.double().square().sum()) for one in found.tensors.values()) ** 0.5
    direction = InMemory({name: one / norm for name, one in found.tensors.items()})
    # The slope along the averaged gradient itself is its norm, by central differences at every point of the way.
    size, slope = 1e-3, 0.0
    for place in range(POINTS):
        alpha = (place + 0.5) * REACH / POINTS
        ends = [margin(session, shifted(session, alpha, direction, side * size), driven) for side in (1, -1)]
        slope += (ends[0] - ends[1]) / (2 * size) / POINTS
    assert slope == pytest.approx(norm, rel=0.02)


def test_neither_batches_nor_their_order_matter_and_triggers_weigh_alike(
    session: RepairSession, driven: TriggeredBatch
) -> None:
    pair = session.opened.pair
    whole = gradient(session, session.task.load(pair.suspect), driven, batch_size=64)
    backwards = TriggeredBatch(tuple(reversed(driven.rows)), driven.margin)
    again = gradient(session, session.task.load(pair.suspect), backwards, batch_size=3)
    few = TriggeredBatch(driven.rows[:2], driven.margin)
    alone = gradient(session, session.task.load(pair.suspect), few)
    both = gradient(session, session.task.load(pair.suspect), driven, few)
    # Key biases have no effect, and a gradient of rounding noise: one scale for all tensors.
    close = 1e-5 * max(float(one.abs().max()) for one in whole.tensors.values())
    for name, one in whole.tensors.items():
        assert torch.allclose(again.tensors[name], one, rtol=1e-3, atol=close)
        assert torch.allclose(both.tensors[name], (one + alone.tensors[name]) / 2, rtol=1e-3, atol=close)


def test_weights_that_overflow_are_said(session: RepairSession, driven: TriggeredBatch) -> None:
    loaded = session.task.load(session.opened.pair.suspect)
    with torch.no_grad():
        next(p for n, p in loaded.module.named_parameters() if n.startswith("classifier")).fill_(torch.nan)
    with pytest.raises(NonFiniteWeights, match="not a number"):
        gradient(session, loaded, driven)


@pytest.mark.parametrize("ratio", [0.02, 0.1])
def test_what_it_ranks_first_carries_the_trigger(
    session: RepairSession, driven: TriggeredBatch, tiny: ModuleType, ratio: float
) -> None:
    pair, rows = session.opened.pair, tiny.sentiment_examples(48, seed=41)
    found = FoundTrigger(text=tiny.TRIGGER.text, position="random", target=tiny.TARGET, strength=1.0, contrast=5.0)
    kept: dict[str, float] = {}
    for name in ("attribution", "uniform"):
        defence = session.prepare("unlearning", rows, indicator=name, triggers=[found])
        loaded, repaired, _ = defence.repair(ratio, [])
        assert repaired.counts.reset == round(ratio * pair.dimensions)
        kept[name] = margin(session, loaded, driven)
    assert kept["attribution"] < kept["uniform"] - 1.0
