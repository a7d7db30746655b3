"""Attention distillation: the maps, their distance, and what tuning with them does."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification

from purify_cli.data.batches import batches, encode
from purify_cli.data.example import Example
from purify_cli.model import logits, outputs
from purify_cli.student.attention_maps import STRENGTH, attention_distilled, attention_maps
from purify_cli.training import repair_settings, train


@pytest.fixture
def models(tiny_suspect, tiny_clean):
    return [AutoModelForSequenceClassification.from_pretrained(one).eval() for one in (tiny_suspect, tiny_clean)]


def batch_of(tokenizer, rows):
    (batch,) = batches(encode(tokenizer, rows, max_length=32), batch_size=len(rows), pad_id=0)
    return batch


def weighed(model, batch):
    return attention_maps(outputs(model, batch, output_hidden_states=True).hidden_states[1:], mask(batch))


def mask(batch):
    return batch.inputs["attention_mask"]


def test_maps_are_of_length_one_and_ignore_padding():
    states = [torch.tensor([[[3.0, 0.0], [0.0, 2.0], [5.0, 5.0]]]), torch.ones(1, 3, 2)]
    found = attention_maps(states, torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(found[0, 0], torch.tensor([9.0, 4.0, 0.0]) / math.hypot(9, 4))
    torch.testing.assert_close(found[1, 0], torch.tensor([1.0, 1.0, 0.0]) / math.sqrt(2))


def test_the_loss_is_the_cross_entropy_and_the_mean_squared_distance_of_each_layer(models, tiny_tokenizer):
    suspect, teacher = models
    rows = [Example("a good film", label=1), Example("a very dull film with a weak plot", label=0)]
    batch = batch_of(tiny_tokenizer, rows)
    weights = torch.tensor([0.25, 0.75])
    wanted = cross_entropy(logits(suspect, batch), torch.tensor([1, 0]), reduction="none")
    for layer in range(suspect.config.num_hidden_layers):
        for place, row in enumerate(rows):  # one by one, without padding
            alone = batch_of(tiny_tokenizer, [row])
            own, other = (weighed(model, alone)[layer, 0] for model in models)
            wanted[place] += STRENGTH * (own - other).square().mean()
    loss = attention_distilled(teacher).loss(suspect, batch, weights, torch.float32)
    torch.testing.assert_close(loss, (wanted * weights).sum())


def test_tuning_draws_the_maps_to_the_teachers(models, tiny, tiny_tokenizer):
    suspect, teacher = models
    rows = encode(tiny_tokenizer, tiny.sentiment_examples(32, seed=40), max_length=32)
    other = batch_of(tiny_tokenizer, tiny.sentiment_examples(16, seed=50))

    def apart():
        with torch.no_grad():
            own, wanted = (weighed(model.eval(), other) for model in models)
        return float((own - wanted).square().sum())

    before = apart()
    settings = repair_settings(steps=60, learning_rate=1e-3)
    train(suspect, rows, settings, pad_id=0, device="cpu", objective=attention_distilled(teacher))
    assert apart() < 0.5 * before


def test_another_teacher_is_another_objective(models):
    one, two = map(attention_distilled, models)
    assert one.mark != two.mark
    assert attention_distilled(models[0]).mark == one.mark
