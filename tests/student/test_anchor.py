"""Fine-tuning that lets go of drift: by how much, of which tensors, and in which steps."""

from dataclasses import replace
from math import exp

import pytest
import torch

from purify_cli.student.anchor import anchored
from purify_cli.tensors import read_tensor
from purify_cli.training import CROSS_ENTROPY, repair_settings, train


@pytest.mark.parametrize("steps", [1, 10])
def test_drift_that_nothing_asks_for_shrinks_by_the_factor(session, tiny, steps):
    pair, task = session.opened.pair, session.task
    loaded = task.load(pair.suspect)
    silent = replace(CROSS_ENTROPY, loss=lambda *given: 0.0 * CROSS_ENTROPY.loss(*given))
    rows = task.encode(tiny.sentiment_examples(8, seed=40))
    objective = anchored(silent, loaded, pair, 2.0)
    train(loaded.module, rows, repair_settings(steps=steps), pad_id=0, device="cpu", objective=objective)
    for name in pair.suspect_part.specs:
        old, reference, new = (
            read_tensor(one, name) for one in (pair.suspect_part, pair.reference_part, loaded.weights)
        )
        torch.testing.assert_close(new - reference, exp(-2.0) * (old - reference), atol=1e-6, rtol=1e-4)
    head = [name for name in pair.suspect.specs if name not in pair.suspect_part.specs and "classifier" in name]
    assert head
    for name in head:
        assert torch.equal(read_tensor(loaded.weights, name), read_tensor(pair.suspect, name))


def test_the_last_steps_learn_without_a_pull(session):
    loaded = session.task.load(session.opened.pair.suspect)
    objective = anchored(CROSS_ENTROPY, loaded, session.opened.pair, 3.0)
    (pull,) = objective.step_hooks
    parameters = dict(loaded.module.named_parameters())

    def moved(step):
        before = {name: value.detach().clone() for name, value in parameters.items()}
        pull(step, 10, parameters)
        return any(not torch.equal(before[name], value) for name, value in parameters.items())

    assert [moved(step) for step in (1, 3, 4, 10)] == [True, True, False, False]
    assert objective.mark != CROSS_ENTROPY.mark
    assert objective.whole_vocabulary  # rows that no text reaches hold drift as well
