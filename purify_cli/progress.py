"""How long work tells how far it is, without knowing who listens.

The library never prints. Functions that take long accept a ``Progress``; the command line passes one that draws bars
on stderr, everything else gets ``SILENT``.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar, final, runtime_checkable

__all__ = ["SILENT", "Progress", "Silent"]

T = TypeVar("T")


@runtime_checkable
class Progress(Protocol):
    """A listener for long work."""

    def track(self, items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
        """Yield the items and count them.

        Args:
            items: What is worked through.
            what: A few words for the bar, lower case.
            total: Number of items where ``items`` has no length.
        """
        ...

    def note(self, sentence: str) -> None:
        """Say one sentence about what has just happened or starts now."""
        ...


@final
class Silent:
    """The listener that hears nothing."""

    def track(self, items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
        """Yield the items unchanged."""
        del what, total
        yield from items

    def note(self, sentence: str) -> None:
        """Say nothing."""
        del sentence


SILENT: Final[Progress] = Silent()
