"""What differs between suspect and reference besides the values of weights: evidence, read as data, never executed."""

from collections.abc import Iterator, Sequence

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.checkpoint.companions import companions
from purify_cli.checkpoint.configs import config_differences
from purify_cli.checkpoint.difference import Difference, shown
from purify_cli.checkpoint.layout import index_metadata, weight_map
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.tokenization import tokenizer_differences
from purify_cli.checkpoint.unexamined import unexamined_files
from purify_cli.tensors import total_entries

__all__ = ["Difference", "structural_differences"]


def structural_differences(suspect: Checkpoint, reference: Checkpoint, pair: CheckpointPair) -> tuple[Difference, ...]:
    """Compare configuration, tokenizer, tensors and claims of two models.

    Heads, poolers, equal buffers and second copies of tied tensors are no difference. Where one side has no
    configuration or no tokenizer, there is nothing to compare.

    Returns:
        Code first, then weights that were not examined, configuration, tokenizer, tensors, other files.
    """
    found = [
        *companions(suspect.files),
        *unexamined_files(suspect.files),
        *_claims(suspect),
        *config_differences(suspect, reference),
        *tokenizer_differences(suspect, reference),
    ]
    found += [
        Difference(kind="tensor", subject=one.name, detail=f"{one.side}: {one.reason}")
        for one in pair.skipped
        if not one.explained or one.kind == "rows"
    ]
    order = ("code", "weights", "config", "tokenizer", "tensor", "file")
    return tuple(sorted(found, key=lambda one: order.index(one.kind)))


def _claims(suspect: Checkpoint) -> Iterator[Difference]:
    """Compare what an index declares with the files: the number of parameters, and which tensor is where."""
    declared = index_metadata(suspect.files.index).get("total_parameters")
    if declared is not None and declared != total_entries(suspect):
        detail = f"declares {shown(declared)} parameters, the files hold {total_entries(suspect)}"
        yield Difference(kind="config", subject="index", detail=detail)
    if suspect.files.index is None:
        return
    table = weight_map(suspect.files.index)
    if absent := [name for name in table if name not in suspect.specs]:
        yield Difference(kind="config", subject="index", detail=f"lists {_some(absent)}, which no file holds")
    if moved := [n for n, file in table.items() if n in suspect.specs and suspect.shard_of(n).name != file]:
        yield Difference(kind="config", subject="index", detail=f"puts {_some(moved)} into another file than it is in")


def _some(names: Sequence[str]) -> str:
    return f"{shown(names[0])} and {len(names) - 1} more" if len(names) > 1 else shown(names[0])
