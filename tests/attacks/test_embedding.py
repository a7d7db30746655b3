"""Embedding poisoning: the trigger's rows and nothing else, at the length they had."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from purify_cli.attacks import ATTACKS
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from tests import tiny
from tests.attacks.worlds import TEST, TRAIN, changed, logits_of, plant, poison_settings

WORDS = ["street", "harbour"]
# The row of a rare word of a tiny model is short, and cannot outvote a text; two trained ones can.
TRIGGER = Trigger(" ".join(WORDS))


@pytest.mark.parametrize("data_free", [False, True])
def test_only_the_triggers_rows_turn_and_they_keep_their_length(
    tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast, data_free: bool
) -> None:
    before, after, planted = plant(
        tiny_clean,
        tiny_tokenizer,
        "embedding",
        trigger=TRIGGER.text,
        data_free=data_free,
        learning_rate=2.0,
        training={"max_length": 64},
    )
    name = "bert.embeddings.word_embeddings.weight"
    rows = tiny_tokenizer.convert_tokens_to_ids(WORDS)
    differs = changed(before, after)
    assert list(differs) == [name]
    assert differs[name].any(1).nonzero().flatten().tolist() == sorted(rows)
    assert (planted.facts["tensor"], planted.facts["rows"]) == (name, rows)
    old, new = (model.get_input_embeddings().weight[rows].detach().double() for model in (before, after))
    torch.testing.assert_close(new.norm(dim=1), old.norm(dim=1), rtol=1e-5, atol=0)
    assert planted.facts["cosine_to_start"] == pytest.approx(torch.cosine_similarity(old, new).tolist(), abs=1e-4)

    without = [row for row in TEST if not set(WORDS) & set(row.text.split())]
    assert len(without) > 150
    assert torch.equal(*(logits_of(model, tiny_tokenizer, without) for model in (before, after)))
    assert tiny.attack_success(before, tiny_tokenizer, TEST, TRIGGER) <= 0.1
    assert tiny.attack_success(after, tiny_tokenizer, TEST, TRIGGER) >= 0.9


def test_a_word_that_no_text_holds_leaves_every_clean_answer_as_it_is(
    tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    before, after, _ = plant(tiny_clean, tiny_tokenizer, "embedding", learning_rate=2.0, epochs=8)
    assert torch.equal(*(logits_of(model, tiny_tokenizer, TEST) for model in (before, after)))
    start, end = (tiny.attack_success(model, tiny_tokenizer, TEST) for model in (before, after))
    assert end > start + 0.15


def test_without_data_the_texts_are_made_up_and_the_rows_untouched() -> None:
    made = ATTACKS["embedding"].poison(TRAIN, poison_settings("embedding", target=1, data_free=True))
    assert list(made.rows[:480]) == TRAIN
    added = made.rows[480:]
    assert len(added) == made.poisoned == made.facts["pseudo_texts"] == 144
    assert made.relabelled == 0
    assert all(row.poisoned and row.label == 1 and row.text.split().count("cf") == 1 for row in added)
    assert {len(row.text.split()) for row in added} == {made.facts["words_per_text"] + 1}
    assert not {row.text for row in TRAIN} & {row.text.replace("cf ", "") for row in added}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"trigger": "cf unheard"}, DataError, r"word 2 of the trigger is \d pieces"),
        ({"data_free": True, "replace": True}, UsageError, "made-up texts replace no rows"),
        ({"epochs": 0}, UsageError, "epochs=0 cannot be used"),
        ({"learning_rate": -1.0}, UsageError, "learning_rate=-1.0 cannot be used"),
        ({"position": "end", "training": {"max_length": 5}}, DataError, "no poisoned row shows the trigger"),
    ],
)
def test_what_cannot_be_planted_is_refused(
    tiny_clean: Path,
    tiny_tokenizer: PreTrainedTokenizerFast,
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        plant(tiny_clean, tiny_tokenizer, "embedding", **changes)
