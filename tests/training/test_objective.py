import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from purify_cli.data.batches import Batch, Encoded
from purify_cli.training import CROSS_ENTROPY, Objective, train
from purify_cli.training.state import STATE_FILE
from tests.training.helpers import equal, rows, settings, weights, without_dropout


class Recording:
    """Cross-entropy of half the size that keeps one parameter where it was and counts its calls."""

    labelled = True

    @property
    def objective(self) -> Objective:
        return Objective(
            loss=self.loss,
            mark=self.mark,
            labelled=self.labelled,
            gradient_hooks=(self.gradients,),
            step_hooks=(self.stepped,),
        )

    def __init__(self, mark: str | None = "recording") -> None:
        self.mark = mark
        self.held = "classifier.weight"
        self.shares: list[float] = []
        self.steps: list[tuple[int, int]] = []
        self.start: Tensor | None = None

    def loss(self, module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        self.shares.append(float(weights.sum()))
        return CROSS_ENTROPY.loss(module, part, weights, dtype) / 2

    def gradients(self, parameters: Mapping[str, Parameter]) -> None:
        if self.start is None:
            self.start = parameters[self.held].detach().clone()
        gradient = parameters[self.held].grad
        assert gradient is not None
        gradient.zero_()

    def stepped(self, step: int, total: int, parameters: Mapping[str, Parameter]) -> None:
        self.steps.append((step, total))
        assert self.start is not None
        assert torch.equal(parameters[self.held], self.start)  # AdamW does not move what never had a gradient


def test_the_default_is_the_cross_entropy() -> None:
    made = []
    for more in ({}, {"objective": CROSS_ENTROPY}):
        model = without_dropout()
        train(model, rows(12), settings(), pad_id=0, device="cpu", **more)
        made.append(weights(model))
    assert isinstance(CROSS_ENTROPY, Objective)
    assert equal(*made)


def test_hooks_see_every_step_and_every_piece_of_it() -> None:
    model, objective = without_dropout(), Recording()
    before = weights(model)
    result = train(
        model,
        rows(24),
        settings(steps=3, batch_size=4, accumulation=2),
        pad_id=0,
        device="cpu",
        objective=objective.objective,
    )
    assert objective.steps == [(1, 3), (2, 3), (3, 3)]
    torch.testing.assert_close(objective.shares, [0.5] * 6)  # two pieces of four rows make up a step of eight
    moved = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert "classifier.weight" not in moved
    assert "classifier.bias" in moved
    assert len(result.losses) == 3


def test_the_objective_is_what_the_validation_measures() -> None:
    losses = []
    for objective in (CROSS_ENTROPY, Recording().objective):
        model = without_dropout()
        how = settings(steps=1, learning_rate=1e-9)
        losses.append(
            train(model, rows(8), how, pad_id=0, device="cpu", validation=rows(6, seed=4), objective=objective)
            .validation[0]
            .loss
        )
    assert losses[0] == torch.tensor(losses[1] * 2).float().item() or abs(losses[0] - 2 * losses[1]) < 1e-6


def test_rows_need_labels_only_where_the_objective_does() -> None:
    class Unlabelled(Recording):
        labelled = False

        def loss(self, module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
            return (module(**part.inputs).logits.square().sum(1) * weights).sum()

    model = without_dropout()
    unlabelled = [Encoded(row.ids, None, None, row.index) for row in rows(8)]
    result = train(model, unlabelled, settings(), pad_id=0, device="cpu", objective=Unlabelled().objective)
    assert result.last_loss < result.first_loss


def test_a_state_is_another_objective_s_or_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purify_cli.training.loop.STATE_EVERY", 2)

    class Stopped(Exception):
        pass

    class Interrupted(Recording):
        def stepped(self, step: int, total: int, parameters: Mapping[str, Parameter]) -> None:
            if step == 3:
                raise Stopped

    for mark, kept in (("one", True), (None, False)):
        folder = tmp_path / str(mark)
        with contextlib.suppress(Stopped):
            train(
                without_dropout(),
                rows(12),
                settings(),
                pad_id=0,
                device="cpu",
                resume=folder,
                objective=Interrupted(mark).objective,
            )
        assert (folder / STATE_FILE).exists() is kept
    model, other = without_dropout(), Recording("two")
    train(model, rows(12), settings(), pad_id=0, device="cpu", resume=tmp_path / "one", objective=other.objective)
    assert len(other.steps) == settings().steps  # from the start: the state was another objective's
