"""Soft labels: their loss against a plain one, and that rows are known by their place."""

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from purify_cli.data.batches import Batch, batches, encode
from purify_cli.data.example import Example
from purify_cli.model import logits
from purify_cli.student.soft_labels import SoftLabels


@pytest.fixture
def asked(tiny, tiny_clean, tiny_tokenizer):
    from transformers import AutoModelForSequenceClassification

    rows = tiny.sentiment_examples(12, seed=50)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_clean).eval()
    batch: Batch = batches(encode(tiny_tokenizer, rows, max_length=32), batch_size=12, pad_id=0, shuffle_seed=3)[0]
    return model, rows, batch


def loss_of(labels, model, batch):
    weights = torch.full((len(batch.index),), 1 / len(batch.index))
    return labels.objective().loss(model, batch, weights, torch.float32)


def test_of_certain_labels_it_is_the_cross_entropy(asked):
    model, rows, batch = asked
    labels = SoftLabels.of_labels(rows, 2)
    wanted = cross_entropy(logits(model, batch), torch.tensor([rows[i].label for i in batch.index.tolist()]))
    torch.testing.assert_close(loss_of(labels, model, batch), wanted)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_of_a_teacher_it_is_the_divergence_at_its_temperature(asked, temperature):
    model, rows, batch = asked
    answers = torch.randn(len(rows), 2, generator=torch.Generator().manual_seed(0))
    labels = SoftLabels.of_teacher(answers, temperature)
    own = log_softmax(logits(model, batch) / temperature, dim=1)
    wanted = kl_div(own, softmax(answers[batch.index] / temperature, dim=1), reduction="batchmean") * temperature**2
    torch.testing.assert_close(loss_of(labels, model, batch), wanted)


def test_a_model_that_answers_as_its_teacher_has_nothing_to_learn(asked):
    model, rows, batch = asked
    answers = torch.empty(len(rows), 2)
    answers[batch.index] = logits(model, batch).detach()
    loss = loss_of(SoftLabels.of_teacher(answers, 2.0), model, batch)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None) < 1e-6


def test_labels_are_joined_in_their_order_and_a_run_is_known_by_them():
    soft = SoftLabels.of_teacher(torch.tensor([[1.0, 0.0], [0.0, 3.0]]), 2.0)
    both = soft + SoftLabels.of_labels([Example("a", None, 1)], 2)
    assert both.probabilities[2].tolist() == [0.0, 1.0]
    assert both.temperatures.tolist() == [2.0, 2.0, 1.0]
    marks = {one.objective().mark for one in (soft, both, SoftLabels.of_teacher(torch.zeros(2, 2), 2.0))}
    assert len(marks) == 3


def test_a_row_without_a_label_teaches_none():
    with pytest.raises(ValueError, match="no label"):
        SoftLabels.of_labels([Example("a")], 2)
