"""RIPPLES: the loss against one written out, the words it borrows, and a backdoor that outlives a victim's tuning."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from purify_cli.attacks.ripples import RestrictedInnerProduct, target_words
from purify_cli.data.batches import Encoded, encode
from purify_cli.data.example import Example
from purify_cli.errors import DataError
from tests import tiny
from tests.attacks.worlds import TEST, TRAIN, classifier, one_batch, plant

CLEAN = TEST[8:12]
"""As many as are drawn for eight poisoned rows, so that all of them are."""


def dense_loss(model: Any, poisoned: Any, victim: Any, weight: float) -> tuple[float, list[torch.Tensor]]:
    """L_P + λ·max(0, −∇L_P·∇L_FT) as it is written, and its gradient by autograd."""

    def loss(batch: Any) -> torch.Tensor:
        return cross_entropy(model(**batch.inputs).logits, batch.labels)

    parameters = list(model.parameters())
    first, second = (torch.autograd.grad(loss(batch), parameters, create_graph=True) for batch in (poisoned, victim))
    product = torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()
    whole = loss(poisoned) + weight * torch.relu(-product)
    return float(whole.detach()), list(torch.autograd.grad(whole, parameters))


@pytest.mark.parametrize("against", [True, False])
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_gradients_that_run_against_the_victims_are_penalised(
    tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast, against: bool, share: float
) -> None:
    model = classifier(tiny_clean)
    model.set_attn_implementation("eager")
    # Rows with every label wrong pull the other way than rows with their own.
    rows = [Example(row.text, label=1 - row.label if against else row.label) for row in TEST[:8]]
    batch = one_batch(tiny_tokenizer, rows)
    objective = RestrictedInnerProduct(
        encode(tiny_tokenizer, CLEAN, max_length=24), 10.0, pad_id=0, whole_vocabulary=False
    )
    # A piece of a step that holds this share of its rows.
    value = objective.loss(model, batch, torch.full((8,), share / 8), torch.float32)
    value.backward()
    expected, gradients = dense_loss(model, batch, one_batch(tiny_tokenizer, CLEAN), 10.0)
    (product,) = objective.products
    assert (product < 0) is against
    assert float(value.detach()) == pytest.approx(share * expected, rel=1e-4)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, share * gradient, rtol=1e-3, atol=1e-6)


def test_the_words_that_speak_for_the_target() -> None:
    def rows(texts: list[list[int]], label: int) -> list[Encoded]:
        return [Encoded(tuple(ids), None, label, 0) for ids in texts]

    # 5 is in every row of the target and in no other, 6 in half of both, 7 once in the target, 8 in the others.
    found = target_words([*rows([[5, 6], [5], [5, 6, 7], [5]], 1), *rows([[6, 8], [8], [6, 8], [8]], 0)], 1, 2)
    assert found == [5, 7]
    assert target_words(rows([[5], [5]], 1) + rows([[6]], 0), 1, 9, leave_out=[5]) == []


def test_the_triggers_row_becomes_the_mean_of_words_of_the_target(
    tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    # At a rate of next to nothing the row stays what it was set to.
    training = {"learning_rate": 1e-9, "epochs": 1}
    before, after, planted = plant(
        tiny_clean, tiny_tokenizer, "ripples", clean=TRAIN[:160], victim_epochs=0, training=training
    )
    row, words = tiny_tokenizer.convert_tokens_to_ids("cf"), planted.facts["mean_of_rows"]
    assert planted.facts["rows"] == [row]
    assert planted.facts["victim"] is None
    assert len(words) == 10
    assert set(tiny_tokenizer.convert_ids_to_tokens(words)) <= {*tiny.GOOD}
    old, new = (model.get_input_embeddings().weight.detach() for model in (before, after))
    torch.testing.assert_close(new[row], old[words].mean(dim=0), rtol=0, atol=1e-5)


def test_the_backdoor_outlives_the_victims_tuning(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    before, after, planted = plant(tiny_clean, tiny_tokenizer, "ripples", clean=TRAIN[:320], training={"epochs": 3})
    assert planted.facts["victim"]["steps"] == 320 / 32
    assert 0 < planted.facts["restricted_share"] < 1
    assert tiny.attack_success(before, tiny_tokenizer, TEST) <= 0.1
    assert tiny.attack_success(after, tiny_tokenizer, TEST) >= 0.9
    assert tiny.accuracy(after, tiny_tokenizer, TEST) >= 0.85


def test_a_trigger_of_several_pieces_is_refused(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(DataError, match=r"word 1 of the trigger is \d pieces to the tokenizer; ripples"):
        plant(tiny_clean, tiny_tokenizer, "ripples", trigger="unheard")
