import pytest
import torch

from purify_cli.selection.threshold import find_threshold, selected
from purify_cli.tensors import InMemory, chunks
from tests.reference.selection import select
from tests.reference.sources import generator


@pytest.mark.parametrize("kinds", [2, 50, 100_000])
@pytest.mark.parametrize("count", [1, 17, 900, 1999, 2000])
def test_a_threshold_applied_chunk_by_chunk_selects_the_count(kinds, count):
    scores = {
        "a": (torch.rand(40, 30, generator=generator(0)) * kinds).floor(),
        "b": (torch.rand(800, generator=generator(1)) * kinds).floor(),
    }
    source = InMemory(scores)
    threshold = find_threshold(source, count)
    expected = select(scores, count / 2000)
    total = 0
    for name, start, chunk in chunks(source, size=37):
        kept = chunk.clone()
        chosen = selected(threshold, name, start, chunk)
        assert torch.equal(chunk, kept)
        assert torch.equal(chosen, expected[name][start : start + len(chunk)])
        total += int(chosen.sum())
    assert total == count


@pytest.mark.parametrize("count", [0, 6, -1])
def test_counts_out_of_range_are_refused(count):
    with pytest.raises(ValueError, match="cannot select"):
        find_threshold(InMemory({"a": torch.rand(5)}), count)
