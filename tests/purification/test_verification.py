"""Known words, measured again: the same held-back texts before and after."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from purify_cli.data.example import Example
from purify_cli.purification.clean_rows import split_rows
from purify_cli.purification.verification import Proof
from tests.purification.test_repair_rounds import fact
from tests.worlds import open_bench


class Counting(torch.nn.Module):
    """Calls a text the target where a token stands in it so many times."""

    def __init__(self, token: int, times: int) -> None:
        super().__init__()
        self.token, self.times = token, times
        self.config = SimpleNamespace(max_position_embeddings=512, pad_token_id=0)

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        called = ((input_ids == self.token).sum(dim=1) >= self.times).float()
        return SimpleNamespace(logits=torch.stack([0.5 - called, called - 0.5], dim=1))


def test_a_word_that_still_flips_pairs_from_both_texts_is_not_gone(session: Any, tiny: ModuleType) -> None:
    rows = [Example(row.text, row.text, 0) for row in tiny.sentiment_examples(8, seed=41)]
    token = tiny.tiny_tokenizer().convert_tokens_to_ids("cf")
    loaded = session.task.load(session.opened.pair.suspect)
    models = [replace(loaded, module=Counting(token, times)) for times in (1, 2, 3)]
    for repaired, left in ((models[1], 8), (models[2], 0)):
        (told,) = session.task.count_triggers([fact("cf", 9.0, target=1)], models[0], repaired, rows)
        assert (told.rows, told.before, told.after) == (8, 8, left)


@pytest.mark.parametrize("bias", [0.0, 100.0])
def test_texts_that_either_model_calls_the_target_anyway_are_left_out_of_both_counts(
    tiny_suspect: Path, tiny_clean: Path, tiny_reference: Path, tmp_path: Path, tiny: ModuleType, bias: float
) -> None:
    session = open_bench(tiny_suspect, tiny_reference, tmp_path)
    suspect = session.task.load(session.opened.pair.suspect)
    after = session.task.load(open_bench(tiny_clean, tiny_reference, tmp_path).opened.pair.suspect)
    with torch.no_grad():
        after.module.classifier.bias[tiny.TARGET] += bias
    rows = tiny.sentiment_examples(64, seed=40)
    others = [row for row in rows if row.label != tiny.TARGET]
    split = split_rows(rows, session.task, seed=0)
    proof = Proof(session.task, suspect, [fact("cf", 9.0, target=tiny.TARGET), fact("mn", 9.0, target=tiny.TARGET)])
    proof.add(rows, after)
    tokenizer = tiny.tiny_tokenizer()
    own, other = (tiny.predictions(model.module, tokenizer, others).tolist() for model in (suspect, after))
    called = sum(tiny.TARGET in pair for pair in zip(own, other, strict=True))
    told = proof.measured(split.held_back)
    if called == len(others):
        assert told == []
        return
    for one in told:
        assert one.before.total == one.after.total == len(others) - called
        assert one.left_out == called
        assert one.measured_on == "held-back clean samples"
    assert told[0].before.value >= 0.9
    assert called
