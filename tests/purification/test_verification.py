"""Known words, measured again: the same held-back texts before and after."""

from pathlib import Path
from types import ModuleType

import pytest
import torch

from purify_cli.purification.clean_rows import split_rows
from purify_cli.purification.verification import Proof
from tests.purification.test_repair_rounds import fact
from tests.worlds import open_bench


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
