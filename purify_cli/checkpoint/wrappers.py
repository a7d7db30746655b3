"""Names as a model has them inside a wrapper, and what they are without it.

Trainers save the wrapper's ``state_dict``: ``module.`` of DistributedDataParallel, ``model.`` of a Lightning module,
``_orig_mod.`` of ``torch.compile``, the name of any attribute that holds the model, and these inside each other.
transformers loads none of these names and leaves what it should have loaded at random, so they are taken off before
anything is compared, measured or written.
"""

from collections.abc import Collection, Iterable
from typing import Final

from purify_cli.checkpoint.names import HEADS, PREFIXES, is_word_embedding

__all__ = ["unwrapped"]

MARKERS: Final = frozenset({"_checkpoint_wrapped_module", "_forward_module", "_fsdp_wrapped_module", "_orig_mod"})
"""Components that wrappers put into names, at any depth (activation checkpointing, Lightning, FSDP, ``torch.compile``);
no architecture has any of this name."""

WRAPPER: Final = "module"
"""The attribute in which DistributedDataParallel and its like hold a model; no architecture has one of this name."""

BODIES: Final = frozenset({"decoder", "embeddings", "encoder"})
"""First components of bare models that hold their word embedding, as OPT's, BERT's and T5's."""

TABLE: Final = 2
"""Components of the name of a word embedding at the top of a bare model: ``wte.weight``."""

DEEPEST: Final = 8
"""Wrappers inside each other that are taken off."""

Path = tuple[str, ...]
"""The components of a name; at least one."""


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Return each name without wrappers → the name as it is stored, in the same order.

    Where it is not plain what is a wrapper and what is a part of the architecture, names stay as they are.

    Raises:
        ValueError: With the two stored names, if two become one.
    """
    paths: dict[str, Path] = {
        name: tuple(part for part in name.split(".") if part not in MARKERS) or (name,) for name in names
    }
    for _ in range(DEEPEST):
        outer = _wrapper(paths.values())
        if outer is None:
            break
        paths = {name: path[1:] if path[0] == outer else path for name, path in paths.items()}
    stored: dict[str, str] = {}
    for name, path in paths.items():
        short = ".".join(path)
        if short in stored:
            raise ValueError(stored[short], name)
        stored[short] = name
    return stored


def _wrapper(paths: Collection[Path]) -> str | None:
    """Return the first component that is a wrapper's, None if there is none.

    The word embedding lies under it, and beside it no other base model. It is one

    - if it is ``module``;
    - if a task's head or the prefix of a base model lies under it, and no head beside it;
    - if it is no prefix of a base model, and a whole base model, or a wrapper of one, lies under it and nothing but
      heads beside it.
    """
    tables = [path for path in paths if is_word_embedding(".".join(path))]
    outer = {path[0] for path in tables or paths}
    if len(outer) != 1:
        return None
    first = outer.pop()
    inside = [path[1:] for path in paths if path[0] == first]
    beside = {path[0] for path in paths} - {first}
    if not all(inside) or beside & PREFIXES:
        return None
    under = {path[0] for path in inside}
    if first == WRAPPER or (under & (HEADS | PREFIXES) and not beside & HEADS):
        return first
    if first in PREFIXES or beside - HEADS:
        return None
    if len(under) == 1 and not beside:
        return first if _wrapper(inside) else None
    whole = under & PREFIXES or any(
        path[0] == "embeddings" or (len(path) == TABLE and first not in BODIES)
        for path in inside
        if is_word_embedding(".".join(path))
    )
    return first if whole else None
