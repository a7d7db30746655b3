"""One name per tensor: which of several spellings stands for a tensor that a checkpoint stores more than once.

A loader that strips prefixes takes one of the spellings, and nobody knows which: two tensors of one meaning with
different contents are a way to hide the one that is used behind the one that is looked at.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from purify_cli.checkpoint.aligned import same_entries
from purify_cli.checkpoint.names import canonical, is_word_embedding, tie_group
from purify_cli.errors import CheckpointError, PairError
from purify_cli.tensors import TensorSource

__all__ = ["Names", "copies_of", "equal_tensors", "tied_copies", "unique_names"]

SHARED: Final = "shared.weight"


@final
@dataclass(frozen=True, slots=True)
class Names:
    """The tensors of a checkpoint, each once."""

    chosen: Mapping[str, str]
    """Canonical name → the checkpoint's own name of it."""
    copies: Mapping[str, str]
    """Every other own name → the chosen one of the same tensor; the contents are equal."""


def unique_names(
    source: TensorSource,
    *,
    side: str = "the model",
    error: type[CheckpointError] | type[PairError] = CheckpointError,
) -> Names:
    """Choose one name per canonical name: that which is canonical itself, else the first in alphabetical order.

    The choice depends on nothing but the names, so that everyone who reads one checkpoint makes the same one.
    Contents are read only where a tensor is stored more than once.

    Args:
        source: All tensors of a checkpoint.
        side: What to call it in the message.
        error: What to raise.

    Raises:
        CheckpointError: Or the given type, if two tensors of one canonical name differ in shape, type or contents.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in source.specs:
        groups[canonical(name)].append(name)
    chosen: dict[str, str] = {}
    copies: dict[str, str] = {}
    for short, names in groups.items():
        first, *rest = sorted(names, key=lambda name: (name != short, name))
        chosen[short] = first
        for name in rest:
            if not equal_tensors(source, name, first):
                raise error(
                    f"{side} stores one tensor twice with different contents, as {first!r} and as {name!r}",
                    hint="Only one of the two is ever used, and it is not known which; do not trust this model.",
                )
            copies[name] = first
    return Names(chosen, copies)


def tied_copies(source: TensorSource, names: Iterable[str]) -> dict[str, str]:
    """Find names that architectures tie and that hold the same numbers.

    Args:
        source: All tensors of a checkpoint.
        names: One per tensor (``unique_names``).

    Returns:
        Second name → first name. Input embeddings come first, so that they are the ones compared; of an
        encoder-decoder's the shared one, which is what a classifier's module calls it.
    """
    ties: dict[str, str] = {}
    copies: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (not is_word_embedding(name), not name.endswith(SHARED))):
        if (group := tie_group(name)) is None:
            continue
        first = ties.setdefault(group, name)
        if first != name and equal_tensors(source, name, first):
            copies[name] = first
    return copies


def copies_of(source: TensorSource) -> dict[str, str]:
    """Return every second name of a tensor of a checkpoint → the name that stands for it.

    Raises:
        CheckpointError: If two tensors of one canonical name differ.
    """
    names = unique_names(source)
    tied = tied_copies(source, names.chosen.values())
    return {name: tied.get(first, first) for name, first in {**names.copies, **tied}.items()}


def equal_tensors(source: TensorSource, name: str, other: str) -> bool:
    """Tell whether two tensors of one source agree in shape, type and every bit."""
    one, two = source.specs[name], source.specs[other]
    return one.shape == two.shape and one.dtype == two.dtype and same_entries(source, name, source, other)
