"""Placeholders in the place of tensors."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from purify_cli.checkpoint import CheckpointPair, open_checkpoint, pair_checkpoints
from purify_cli.errors import CheckpointError
from tests.checkpoint.shapes import CONFIG, bert, classifier, folder


def pair(tmp_path: Path, suspect: dict[str, Tensor], reference: dict[str, Tensor]) -> CheckpointPair:
    ours, theirs = folder(tmp_path / "s", suspect, config=CONFIG), folder(tmp_path / "r", reference, config=CONFIG)
    return pair_checkpoints(open_checkpoint(str(ours)), open_checkpoint(str(theirs)))


def without(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same, with the entries of some tensors left to another process."""
    return {name: torch.zeros(0) if part in name else tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("part", ["word_embeddings", "encoder.layer.1", "classifier.weight", ""])
def test_a_placeholder_is_called_one(part: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"of the suspect is empty \(a ZeRO-3 shard\?\)") as caught:
        pair(tmp_path, without(part, classifier()), bert())
    assert part in str(caught.value)
    assert "zero_to_fp32.py" in caught.value.hint


def test_a_placeholder_of_the_reference_is_the_reference_s(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="of the reference is empty"):
        pair(tmp_path, classifier(), without("encoder.layer.0", bert()))


def test_a_tensor_that_is_empty_on_both_sides_is_none(tmp_path: Path) -> None:
    empty = {"embeddings.token_type_embeddings.weight": torch.zeros(0, 8)}
    assert pair(tmp_path, bert() | empty, bert() | empty).comparables
