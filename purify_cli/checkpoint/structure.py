"""What differs between suspect and reference besides the values of weights: evidence, read as data, never executed."""

from collections.abc import Iterator, Sequence

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.checkpoint.companions import companions
from purify_cli.checkpoint.configs import config_differences
from purify_cli.checkpoint.difference import Difference, shown
from purify_cli.checkpoint.layout import index_metadata
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.tokenization import tokenizer_differences
from purify_cli.checkpoint.unexamined import unexamined_files
from purify_cli.checkpoint.weight_files import weight_map
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
    found += _wrappers(suspect)
    order = ("code", "weights", "config", "tokenizer", "tensor", "file")
    return tuple(sorted(found, key=lambda one: order.index(one.kind)))


def _wrappers(suspect: Checkpoint) -> Iterator[Difference]:
    """Report names that were read without the wrapper that they were saved with."""
    wrapped = [(name, stored) for name, stored in suspect.stored_names.items() if name != stored]
    if wrapped:
        name, stored = wrapped[0]
        more = f", and {len(wrapped) - 1} more alike" if len(wrapped) > 1 else ""
        detail = f"stored as {shown(stored)}{more}: names of a wrapper, which transformers does not load"
        yield Difference(kind="tensor", subject=name, detail=detail)


def _claims(suspect: Checkpoint) -> Iterator[Difference]:
    """Compare what an index declares with the files: the number of parameters, and which tensor is where."""
    declared = index_metadata(suspect.files.index).get("total_parameters")
    if declared is not None and declared != total_entries(suspect):
        detail = f"declares {shown(declared)} parameters, the files hold {total_entries(suspect)}"
        yield Difference(kind="config", subject="index", detail=detail)
    if suspect.files.index is None:
        return
    table = weight_map(suspect.files.index)
    places = {stored: suspect.shard_of(name).name for name, stored in suspect.stored_names.items()}
    if absent := [name for name in table if name not in places]:
        yield Difference(kind="config", subject="index", detail=f"lists {_some(absent)}, which no file holds")
    if moved := [name for name, file in table.items() if places.get(name, file) != file]:
        yield Difference(kind="config", subject="index", detail=f"puts {_some(moved)} into another file than it is in")


def _some(names: Sequence[str]) -> str:
    return f"{shown(names[0])} and {len(names) - 1} more" if len(names) > 1 else shown(names[0])
