"""Rows of a vocabulary in another order: a model whose tokenizer numbers the same tokens otherwise than another's."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from purify_cli.checkpoint.aligned import CheckpointPair, Skipped
from purify_cli.checkpoint.names import has_rows, is_word_embedding
from purify_cli.tensors import Computed, TensorSource

__all__ = ["by_token", "reordered", "vocabulary_tensors", "without_vocabulary"]


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (first row, row after the last) of what stands together, so that little is read in small pieces."""
    begin = rows[0]
    for row, following in pairwise([*rows, -1]):
        if following != row + 1:
            yield begin, row + 1
            begin = following


def vocabulary_tensors(source: TensorSource) -> list[str]:
    """Return the names of tensors that have one row per token: the word embeddings and what goes back to tokens."""
    specs = source.specs
    rows = {spec.shape[0] for name, spec in specs.items() if is_word_embedding(name) and spec.shape}
    return [
        name
        for name, spec in specs.items()
        if spec.shape and spec.shape[0] in rows and has_rows(spec) and "position" not in name
    ]


def reordered(source: TensorSource, rows: Sequence[int]) -> TensorSource:
    """Put all rows of a vocabulary in another order.

    Args:
        source: All tensors.
        rows: Row i of each tensor of the vocabulary is row ``rows[i]`` of the source's; as many as they have.
    """
    specs, names = source.specs, frozenset(vocabulary_tensors(source))

    def read(name: str, start: int, stop: int) -> Tensor:
        if name not in names or start >= stop:
            return source.read(name, start, stop)
        width = specs[name].numel // len(rows)
        first, last = start // width, -(-stop // width)
        pieces = [source.read(name, begin * width, end * width) for begin, end in _runs(rows[first:last])]
        return torch.cat(pieces)[start - first * width : stop - first * width].clone()

    return Computed(specs, read)


def by_token(pair: CheckpointPair, rows: Sequence[int]) -> CheckpointPair:
    """Number the suspect's rows as the reference's tokenizer numbers the tokens."""
    return replace(pair, suspect=reordered(pair.suspect, rows))


def without_vocabulary(pair: CheckpointPair, reason: str) -> CheckpointPair:
    """Leave the rows of a vocabulary out of a comparison."""
    gone = [name for name in vocabulary_tensors(pair.suspect) if name in pair.comparables]
    skipped = [
        Skipped(
            name=name,
            side="suspect",
            kind="shape",
            reason=reason,
            explained=False,
            entries=pair.comparables[name].entries,
        )
        for name in gone
    ]
    kept = {name: one for name, one in pair.comparables.items() if name not in gone}
    return replace(pair, comparables=kept, skipped=(*pair.skipped, *skipped))
