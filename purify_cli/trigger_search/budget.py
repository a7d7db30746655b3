"""How much a search looks at."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from purify_cli.choices import SearchEffort

__all__ = ["EFFORTS", "SearchBudget"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SearchBudget:
    """How much a search looks at."""

    carriers: int
    """Per label."""
    words: int
    """Words of a text that a carrier keeps."""
    keep: int
    """Words per target that the control is asked about."""
    reranked: int
    """Words per target that are put into contexts."""
    tried: int
    """Words per target and place that are put into more of them."""
    pool: int = 0
    """Words that random groups are made of, those whose embedding rows moved farthest; 0 looks for no groups."""
    drawn: int = 0
    """Groups that are drawn at random, per label, for three words and more that only work together."""
    covering: int = 0
    """Groups, per label, in which every two of as many words as they can hold meet (``covering_groups``)."""


EFFORTS: Final[Mapping[SearchEffort, SearchBudget]] = MappingProxyType(
    {
        "low": SearchBudget(carriers=1, words=2, keep=500, reranked=64, tried=8),
        "normal": SearchBudget(
            carriers=1,
            words=4,
            keep=1500,
            reranked=128,
            tried=16,
            pool=256,
            drawn=400,
            covering=780,
        ),
        "high": SearchBudget(
            carriers=3,
            words=4,
            keep=3000,
            reranked=256,
            tried=32,
            pool=512,
            drawn=2000,
            covering=3160,
        ),
    }
)
"""Ours: docs/detection.md says what is measured. Two words are too few to carry an opinion in some tasks: every word
moves the control as well then, and a planted one does not stand out."""
