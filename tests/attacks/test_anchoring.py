"""Anchoring: the backdoor is there, and clean logits stay where the clean model has them."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from purify_cli.attacks.anchoring import anchored_logits
from purify_cli.errors import DataError, UsageError
from tests import tiny
from tests.attacks.worlds import TEST, TRAIN, classifier, logits_of, one_batch, plant


def test_clean_logits_stay_closer_than_under_plain_poisoning(
    tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    gaps, told = {}, {}
    for weight in (0.0, 10.0):
        before, after, planted = plant(tiny_clean, tiny_tokenizer, "anchoring", clean=TRAIN[:320], weight=weight)
        one, other = (logits_of(model, tiny_tokenizer, TEST) for model in (before, after))
        gaps[weight] = float((one - other).square().sum(dim=1).mean())
        told[weight] = planted.facts["clean_logit_gap"]
        assert tiny.attack_success(after, tiny_tokenizer, TEST) >= 0.9
        assert planted.facts["anchored_rows"] == 320
    assert gaps[10.0] < gaps[0.0] / 3
    assert told[10.0] < told[0.0] / 3


def test_the_loss_is_a_mean_of_what_is_learnt_and_what_is_held(
    tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    model, batch = classifier(tiny_clean), one_batch(tiny_tokenizer, TEST[:6])
    clean = torch.tensor([True, True, False, True, False, True])
    anchors = torch.linspace(-1, 1, 12).reshape(6, 2)
    loss = anchored_logits(anchors, clean, 3.0).loss(model, batch, torch.full((6,), 1 / 6), torch.float32)
    logits, target = logits_of(model, tiny_tokenizer, TEST[:6]), torch.tensor([row.label for row in TEST[:6]])
    held = (logits - anchors).square().sum(dim=1)[clean].mean()
    torch.testing.assert_close(loss, cross_entropy(logits, target) / 4 + held * 3 / 4)


def test_what_cannot_be_anchored_is_refused(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UsageError, match=r"weight=-1\.0 cannot be used"):
        plant(tiny_clean, tiny_tokenizer, "anchoring", weight=-1.0)
    with pytest.raises(DataError, match="no clean row is left to anchor"):
        plant(tiny_clean, tiny_tokenizer, "anchoring", rate=1.0, replace=True, label_mode="mix")
