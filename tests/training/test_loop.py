from dataclasses import replace

import pytest
import torch
from torch import Tensor

from purify_cli.data.batches import batches
from purify_cli.errors import DataError, TrainingDiverged, UsageError
from purify_cli.training import TrainingSettings, Validation, train
from tests.training.helpers import (
    equal,
    largest_difference,
    mean_loss,
    rows,
    settings,
    small_model,
    weights,
    without_dropout,
)


def run(model, encoded, how: TrainingSettings, **more):
    return train(model, encoded, how, pad_id=0, device="cpu", **more)


def test_training_learns_and_leaves_the_module_in_evaluation_mode() -> None:
    model, encoded = small_model(), rows(64)
    before = mean_loss(model, encoded)
    result = run(model, encoded, settings(epochs=12, learning_rate=1e-2))
    assert mean_loss(model, encoded) < 0.2 < before
    assert not model.training
    assert (result.steps, result.epochs, len(result.losses)) == (96, 12.0, 96)
    assert result.first_loss == result.losses[0] > result.mean_loss > result.last_loss == result.losses[-1]
    assert (result.kept_step, result.stopped_early, result.validation) == (96, False, ())


def test_same_seed_same_bits_and_another_seed_others() -> None:
    encoded, made = rows(30), []
    for seed in (3, 3, 4):
        model = small_model()
        torch.manual_seed(len(made))  # what the caller drew before must not matter
        made.append((run(model, encoded, settings(seed=seed)), weights(model)))
    assert made[0][0] == made[1][0]
    assert equal(made[0][1], made[1][1])
    assert not equal(made[0][1], made[2][1])


def test_the_caller_s_random_state_is_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    model = small_model()
    torch.manual_seed(7)
    run(model, rows(10), settings())
    assert torch.equal(torch.rand(3), expected)


def test_one_step_is_a_step_of_plain_adamw() -> None:
    encoded, how = rows(8), settings(steps=1, weight_decay=0.1, decay_all=True, max_grad_norm=None)
    model, plain = without_dropout(), without_dropout()
    run(model, encoded, how)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=how.learning_rate, weight_decay=0.1)
    (batch,) = batches(encoded, batch_size=8, pad_id=0)
    plain(**batch.inputs, labels=batch.labels).loss.backward()
    optimizer.step()
    assert largest_difference(weights(model), weights(plain)) < 1e-6


@pytest.fixture
def gradients(monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """The gradients of every optimiser step taken in the test."""
    taken: list[list[Tensor]] = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        owners = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        taken.append([p.grad.clone() for p in owners])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    return taken


@pytest.mark.parametrize("count", [8, 21, 64])
def test_accumulation_equals_the_bigger_batch(count: int, gradients: list[list[Tensor]]) -> None:
    made = [
        run(without_dropout(), rows(count), settings(batch_size=size, accumulation=times, steps=5))
        for size, times in ((8, 1), (4, 2), (2, 4), (3, 1))
    ]
    whole, *split, other = made
    for result in split:
        assert result.losses == pytest.approx(whole.losses, abs=1e-5)
    assert other.losses != pytest.approx(whole.losses, abs=1e-3)
    # Later gradients are not compared: Adam scales entries whose gradient is rounding alone up to full steps.
    expected, *first_steps, _ = gradients[::5]
    for got in first_steps:
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


def test_epochs_and_steps_count_alike() -> None:
    made = []
    for how in (settings(epochs=2), settings(steps=8)):
        model = small_model()
        made.append((run(model, rows(30), how), weights(model)))
    assert replace(made[0][0], settings=made[1][0].settings) == made[1][0]
    assert made[0][0].epochs == 2.0
    assert equal(made[0][1], made[1][1])


def test_every_pass_sees_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from purify_cli.training import loop

    seen: list[list[int]] = []

    def spy(batch, *args, **kwargs):
        seen.append(batch.index.tolist())
        return split(batch, *args, **kwargs)

    split = loop.split_step
    monkeypatch.setattr(loop, "split_step", spy)
    run(small_model(), rows(20), settings(epochs=2))
    passes = [[*seen[0], *seen[1], *seen[2]], [*seen[3], *seen[4], *seen[5]]]
    assert [sorted(one) for one in passes] == [list(range(20))] * 2
    assert passes[0] != passes[1]


def test_rates_follow_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[set[float]] = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        rates.append({group["lr"] for group in self.param_groups})
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    run(small_model(), rows(8), settings(steps=5, warmup=0.4, learning_rate=0.3))
    assert rates == [{0.3 * 1 / 3}, {0.3 * 2 / 3}, {0.3}, {0.3 * 2 / 3}, {0.3 * 1 / 3}]


def test_clipping_bounds_the_gradient(gradients: list[list[Tensor]]) -> None:
    for limit in (None, 0.01, 1e6):
        run(without_dropout(), rows(8), settings(steps=1, max_grad_norm=limit))
    free, clipped, loose = (float(torch.nn.utils.get_total_norm(step)) for step in gradients)
    assert free > 0.02
    assert clipped == pytest.approx(0.01, rel=1e-3)
    assert loose == free


def test_frozen_parameters_stay_and_the_rest_moves() -> None:
    model = small_model()
    model.bert.embeddings.requires_grad_(False)
    before = weights(model)
    run(model, rows(16), settings(weight_decay=0.5, decay_all=True))
    after = weights(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("bert.embeddings") for name in moved)
    assert {name for name in before if not name.startswith("bert.embeddings")} == moved


def test_without_decay_unseen_words_stay_bit_for_bit() -> None:
    model = small_model()
    before = model.bert.embeddings.word_embeddings.weight.detach().clone()
    run(model, rows(16), settings(epochs=2))
    moved = (model.bert.embeddings.word_embeddings.weight != before).any(-1).nonzero().flatten().tolist()
    assert set(moved) == {i for row in rows(16) for i in row.ids}


@pytest.mark.parametrize("decay_all", [False, True])
def test_decay_moves_unseen_words_by_the_expected_factor(decay_all: bool) -> None:
    model, how = small_model(), settings(steps=4, weight_decay=0.5, decay_all=decay_all)
    before = weights(model)
    run(model, rows(16), how)
    after = weights(model)
    factor = 1.0
    for share in (1.0, 0.75, 0.5, 0.25):
        factor *= 1 - how.learning_rate * share * 0.5
    words = "bert.embeddings.word_embeddings.weight"
    torch.testing.assert_close(after[words][45:], before[words][45:] * factor)
    # Token type 1 never occurs either. It is a row of a matrix, so both kinds of decay take it.
    types = "bert.embeddings.token_type_embeddings.weight"
    torch.testing.assert_close(after[types][1], before[types][1] * factor)


def test_decay_of_vectors_is_what_decay_all_adds() -> None:
    made = {}
    for decay, decay_all in ((0.0, False), (0.5, False), (0.5, True)):
        model = without_dropout()
        run(model, rows(8), settings(steps=1, weight_decay=decay, decay_all=decay_all))
        made[decay, decay_all] = weights(model)
    name = "bert.embeddings.LayerNorm.weight"
    assert torch.equal(made[0.0, False][name], made[0.5, False][name])
    torch.testing.assert_close(made[0.0, False][name] - made[0.5, True][name], torch.full((16,), 1e-3 * 0.5))


# Sixteen rows are learnt by heart: the loss on held-back rows falls, then rises from pass to pass.
OVERFIT = settings(epochs=8, learning_rate=1e-2)


def test_validation_keeps_the_best_state() -> None:
    model, held = without_dropout(), rows(20, seed=6)
    result = run(model, rows(16), OVERFIT, validation=held)
    losses = [point.loss for point in result.validation]
    assert [point.step for point in result.validation] == list(range(2, 17, 2))
    best = losses.index(min(losses))
    assert 0 < best < 7
    assert result.kept_step == result.validation[best].step
    assert mean_loss(model, held) == pytest.approx(losses[best], rel=1e-5)
    assert (result.steps, result.stopped_early) == (16, False)


def test_patience_ends_the_run_early_on_the_same_path() -> None:
    held = rows(20, seed=6)
    whole = run(without_dropout(), rows(16), OVERFIT, validation=held)
    short = run(without_dropout(), rows(16), replace(OVERFIT, patience=2), validation=held)
    assert short.stopped_early
    assert short.steps == short.kept_step + 2 * 2 < whole.steps
    assert short.kept_step == whole.kept_step
    assert short.validation == whole.validation[: len(short.validation)]
    assert short.losses == whole.losses[: short.steps]


def test_a_run_that_stops_is_the_beginning_of_the_whole_one() -> None:
    """So that as many steps as a validation chose are the very steps that it looked at."""
    held = rows(20, seed=6)
    chosen, model = without_dropout(), without_dropout()
    kept = run(chosen, rows(16), OVERFIT, validation=held).kept_step
    stopped = run(model, rows(16), replace(OVERFIT, stop=kept))
    assert 0 < stopped.steps == kept < 16
    assert stopped.stopped_early
    assert all(torch.equal(tensor, weights(chosen)[name]) for name, tensor in weights(model).items())
    assert run(without_dropout(), rows(16), replace(OVERFIT, stop=99)).steps == 16


def test_validation_is_taken_at_the_end_of_a_started_pass() -> None:
    result = run(small_model(), rows(32), settings(steps=6), validation=rows(4, seed=5))
    assert [type(point) for point in result.validation] == [Validation, Validation]
    assert [point.step for point in result.validation] == [4, 6]
    assert result.epochs == 1.5


def test_a_diverging_run_is_refused() -> None:
    model = small_model()
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    with pytest.raises(TrainingDiverged, match="loss of step 1 is nan"):
        run(model, rows(8), settings())


def test_an_infinite_gradient_is_refused_before_it_reaches_the_weights() -> None:
    model = without_dropout()
    model.classifier.weight.register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(TrainingDiverged, match="gradient of step 1"):
        run(model, rows(8), settings())
    assert all(torch.isfinite(tensor).all() for tensor in weights(model).values())


def test_rows_without_label_no_rows_and_frozen_models_are_refused() -> None:
    encoded = rows(4)
    with pytest.raises(DataError, match="no label"):
        run(small_model(), [*encoded, replace(encoded[0], label=None)], settings())
    with pytest.raises(DataError, match="no training sample"):
        run(small_model(), [], settings())
    with pytest.raises(DataError, match="no validation sample"):
        run(small_model(), encoded, settings(), validation=[])
    with pytest.raises(UsageError, match="frozen"):
        run(small_model().requires_grad_(False), encoded, settings())


def test_bfloat16_comes_close_leaves_float32_weights_and_no_trace_behind() -> None:
    made = {}
    for turn, dtype in enumerate((torch.float32, torch.bfloat16, torch.float32)):
        model = without_dropout()
        result = run(model, rows(32), settings(epochs=3, dtype=dtype))
        assert {tensor.dtype for tensor in weights(model).values()} == {torch.float32}
        made[turn] = result.losses, weights(model)
    assert made[1][0] == pytest.approx(made[0][0], abs=0.02)
    assert not equal(made[0][1], made[1][1])
    assert equal(made[0][1], made[2][1])


def test_the_environment_cannot_divide_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for _ in range(2):
        model = small_model()
        run(model, rows(8), settings(steps=2, max_grad_norm=1e-3))
        made.append(weights(model))
        monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    assert equal(*made)
