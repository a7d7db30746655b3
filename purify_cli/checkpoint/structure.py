"""What differs between suspect and reference besides the values of weights: evidence, read as data, never executed."""

from collections.abc import Iterator

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.checkpoint.configs import config_differences
from purify_cli.checkpoint.difference import Difference, shown
from purify_cli.checkpoint.layout import index_metadata
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.tokenization import tokenizer_differences
from purify_cli.tensors import total_entries

__all__ = ["Difference", "structural_differences"]


def structural_differences(suspect: Checkpoint, reference: Checkpoint, pair: CheckpointPair) -> tuple[Difference, ...]:
    """Compare configuration, tokenizer, tensors and claims of two models.

    Heads, poolers, equal buffers and second copies of tied tensors are no difference. Where one side has no
    configuration or no tokenizer, there is nothing to compare.

    Returns:
        Code first, then configuration, tokenizer, tensors.
    """
    found = [*_claims(suspect), *config_differences(suspect, reference), *tokenizer_differences(suspect, reference)]
    found += [
        Difference(kind="tensor", subject=one.name, detail=f"{one.side}: {one.reason}")
        for one in pair.skipped
        if not one.explained or one.kind == "rows"
    ]
    order = ("code", "config", "tokenizer", "tensor")
    return tuple(sorted(found, key=lambda one: order.index(one.kind)))


def _claims(suspect: Checkpoint) -> Iterator[Difference]:
    """Compare the number of parameters that an index declares with the files."""
    declared = index_metadata(suspect.files.index).get("total_parameters")
    if declared is not None and declared != total_entries(suspect):
        detail = f"declares {shown(declared)} parameters, the files hold {total_entries(suspect)}"
        yield Difference(kind="config", subject="index", detail=detail)
