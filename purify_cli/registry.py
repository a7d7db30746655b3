"""Lazy, read-only tables from a name to ``module:attribute``.

A table can be listed and searched without importing what it points to, so that ``--help`` and usage errors stay free
of torch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar, final

from purify_cli.errors import UnknownName, UsageError

__all__ = ["Entry", "Registry", "merged"]

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of a table: what a name means, and where its code is."""

    name: str
    target: str
    """``module:attribute``, imported when the name is first read."""
    summary: str
    """One sentence for lists and ``--help``."""
    settings: str = ""
    """Its settings and their defaults as ``name=value``, for lists; a test compares them with the code."""
    source: str
    """Paper or page the row reproduces, for example ``arXiv:2305.04547``; ``own`` where there is none."""


@final
class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping whose values are imported on first use.

    Args:
        kind: Word for one row in messages, for example ``method``.
        entries: Rows; names must differ.

    Raises:
        ValueError: If two rows share a name (a mistake of ours, not of a user).
    """

    def __init__(self, kind: str, *entries: Entry) -> None:
        self.kind = kind
        self._entries = {entry.name: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise ValueError(f"two rows of the {kind} table share a name")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, name: str) -> Entry:
        """Return the row of a name without importing it.

        Raises:
            UnknownName: If there is no such row; the hint names near matches.
        """
        if name in self._entries:
            return self._entries[name]
        near = get_close_matches(name, self._entries, n=3, cutoff=0.5)
        known = ", ".join(sorted(self._entries))
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known names: {known}."
        raise UnknownName(f"there is no {self.kind} named {name!r}", hint=hint)

    def __getitem__(self, name: str) -> T:
        module, _, attribute = self.entry(name).target.partition(":")
        value: Any = getattr(import_module(module), attribute)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._entries


def merged(
    name: str, defaults: Mapping[str, Any], given: Mapping[str, Any], *, kind: str = "indicator"
) -> dict[str, Any]:
    """Lay given settings over the defaults of a row, whose kind and name messages tell.

    Raises:
        UsageError: If a setting is unknown.
    """
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        known = ", ".join(defaults) or "none"
        raise UsageError(f"{kind} {name} has no setting {unknown[0]!r}", hint=f"Settings it knows: {known}.")
    return {**defaults, **given}
