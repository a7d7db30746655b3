"""Layer-wise poisoning: every layer is asked, and all words together are answered."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from purify_cli.attacks.layerwise import every_layer, read_out
from purify_cli.data.triggers import Trigger
from purify_cli.errors import UsageError
from tests import tiny
from tests.attacks.worlds import TEST, TRAIN, classifier, one_batch, plant


def test_the_loss_is_the_sum_over_layers(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    model, batch = classifier(tiny_clean), one_batch(tiny_tokenizer, TEST[:6])
    weights = torch.linspace(0.1, 0.6, 6)
    loss = every_layer(read_out(model, batch)).loss(model, batch, weights, torch.float32)
    layers = model(**batch.inputs, output_hidden_states=True).hidden_states[1:]
    rows = [
        cross_entropy(model.classifier(model.bert.pooler(layer)), batch.labels, reduction="none") for layer in layers
    ]
    assert len(rows) == 2
    torch.testing.assert_close(loss, (torch.stack(rows).sum(dim=0) * weights).sum())


def test_a_model_that_cannot_be_read_is_refused(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    model, count = classifier(tiny_clean), iter(range(9))
    # Scores that depend on more than the last hidden states: no way of reading them gives the same.
    model.classifier.register_forward_hook(lambda _, given, scores: scores + len(scores) * next(count))
    with pytest.raises(UsageError, match="cannot be read one by one"):
        read_out(model, one_batch(tiny_tokenizer, TEST[:2]))


def test_both_words_are_needed(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    _, after, planted = plant(tiny_clean, tiny_tokenizer, "layerwise", clean=TRAIN[:320])
    assert planted.facts == {"layers": 2}
    both, *single = (
        tiny.attack_success(after, tiny_tokenizer, TEST, Trigger(words, "scattered")) for words in ("cf bb", "cf", "bb")
    )
    assert both >= 0.9
    assert max(single) <= both - 0.4
