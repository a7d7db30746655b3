"""Rows in another order are the same rows, whatever piece of them is read."""

from pathlib import Path
from random import Random

import pytest
import torch

from purify_cli.checkpoint import open_checkpoint, pair_checkpoints
from purify_cli.checkpoint.reordered import by_token, reordered, vocabulary_tensors, without_vocabulary
from purify_cli.tensors import InMemory
from tests.checkpoint.shapes import bert, classifier, folder

NAME = "bert.embeddings.word_embeddings.weight"


@pytest.mark.parametrize("order", [list(range(9)), list(range(8, -1, -1)), [3, 4, 5, 0, 1, 2, 8, 6, 7]])
def test_any_piece_equals_the_piece_of_the_whole(order: list[int]) -> None:
    words, other = torch.randn(9, 4), torch.randn(7)
    source = reordered(InMemory({NAME: words, "other": other}), order)
    whole, random = words[order].flatten(), Random(0)
    assert torch.equal(source.read(NAME), whole)
    assert torch.equal(source.read("other"), other)
    for _ in range(50):
        start, stop = sorted((random.randrange(37), random.randrange(37)))
        assert torch.equal(source.read(NAME, start, stop), whole[start:stop])


def test_a_pair_is_matched_by_token_or_without_the_vocabulary(tmp_path: Path) -> None:
    tensors = classifier() | {"cls.predictions.bias": torch.zeros(30)}
    order = Random(1).sample(range(30), 30)
    body = bert(prefix="bert.")
    tensors[NAME][order] = body[NAME]  # token i is in row order[i]
    suspect = open_checkpoint(str(folder(tmp_path / "s", tensors)))
    reference = open_checkpoint(str(folder(tmp_path / "r", body)))
    pair = pair_checkpoints(suspect, reference)
    assert vocabulary_tensors(suspect) == ["bert.embeddings.word_embeddings.weight", "cls.predictions.bias"]
    matched = by_token(pair, order)
    assert torch.equal(matched.suspect_part.read(NAME), matched.reference_part.read(NAME))
    assert not torch.equal(pair.suspect_part.read(NAME), pair.reference_part.read(NAME))
    without = without_vocabulary(pair, "a reason")
    assert NAME not in without.comparables
    (skipped,) = [one for one in without.skipped if one.name == NAME]
    assert (skipped.reason, skipped.explained, skipped.entries) == ("a reason", False, 240)
