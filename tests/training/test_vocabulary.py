from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, RobertaConfig, RobertaForSequenceClassification

from purify_cli.data.batches import Encoded
from purify_cli.training import CROSS_ENTROPY, train
from purify_cli.training.vocabulary import reachable_rows_only
from tests.training.helpers import rows, settings, small_model, weights


def test_training_the_reachable_rows_is_training_all_of_them() -> None:
    ends = {}
    for name, more in (("part", {}), ("whole", {"objective": replace(CROSS_ENTROPY, whole_vocabulary=True)})):
        model = small_model()
        train(model, rows(24), settings(epochs=4), pad_id=0, device="cpu", validation=rows(8, seed=5), **more)
        ends[name] = weights(model)
    assert ends["part"].keys() == ends["whole"].keys()
    for name, tensor in ends["whole"].items():
        torch.testing.assert_close(ends["part"][name], tensor, rtol=1e-4, atol=1e-6)


def test_the_embedding_is_small_inside_and_itself_again_outside() -> None:
    model, encoded = small_model(), rows(6)
    whole = model.get_input_embeddings()
    before = whole.weight.detach().clone()
    used = sorted({0, *(i for row in encoded for i in row.ids)})
    with reachable_rows_only(model, encoded, pad_id=0):
        part = model.get_parameter("bert.embeddings.word_embeddings.weight")
        assert torch.equal(part, before[used])
        with torch.no_grad():
            part += 1
    assert model.get_input_embeddings() is whole
    expected = before.clone()
    expected[used] += 1
    assert torch.equal(whole.weight, expected)


def test_what_was_learnt_is_put_back_also_when_training_fails() -> None:
    model, encoded = small_model(), rows(6)
    whole = model.get_input_embeddings()
    with pytest.raises(RuntimeError, match="interrupted"), reachable_rows_only(model, encoded, pad_id=0):
        raise RuntimeError("interrupted")
    assert model.get_input_embeddings() is whole


def test_positions_that_are_counted_from_the_padding_token_stay_right() -> None:
    config = RobertaConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
        pad_token_id=1,
        num_labels=2,
    )
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(config).eval()
    encoded = [Encoded((0, 7, 9, 2), None, 0, 0)]
    ids = torch.tensor([[0, 7, 9, 2, 1, 1]])
    mask = (ids != 1).long()
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).logits
        with reachable_rows_only(model, encoded, pad_id=1):
            assert len(model.get_input_embeddings().weight) == 5
            assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, expected)


def test_an_embedding_tied_to_the_output_is_left_whole() -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=2, n_positions=8))
    with reachable_rows_only(model, [Encoded((3, 4), None, None, 0)], pad_id=0):
        assert model.get_input_embeddings().weight.shape[0] == 30


def test_a_frozen_embedding_is_left_whole() -> None:
    model = small_model()
    model.get_input_embeddings().weight.requires_grad = False
    with reachable_rows_only(model, rows(4), pad_id=0):
        assert model.get_input_embeddings().weight.shape[0] == 50
