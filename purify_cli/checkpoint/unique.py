"""One name per tensor: which of several spellings stands for a tensor that a checkpoint stores more than once.

A loader that strips prefixes takes one of the spellings, and nobody knows which: two tensors of one meaning with
different contents are a way to hide the one that is used behind the one that is looked at.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from purify_cli.checkpoint.aligned import same_entries
from purify_cli.checkpoint.names import canonical
from purify_cli.errors import CheckpointError, PairError
from purify_cli.tensors import TensorSource

__all__ = ["Names", "equal_tensors", "unique_names"]


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


def equal_tensors(source: TensorSource, name: str, other: str) -> bool:
    """Tell whether two tensors of one source agree in shape, type and every bit."""
    one, two = source.specs[name], source.specs[other]
    return one.shape == two.shape and one.dtype == two.dtype and same_entries(source, name, source, other)
