"""How much a search looks at."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from purify_cli.choices import SearchEffort
from purify_cli.trigger_search.groups import GroupTests
from purify_cli.trigger_search.growth import Growth

__all__ = ["EFFORTS", "SearchBudget"]


@final
@dataclass(frozen=True, slots=True)
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
    group_tests: GroupTests | None
    growth: Growth | None
    """For words that only work together, and for words that do each a part; None looks for no such."""


EFFORTS: Final[Mapping[SearchEffort, SearchBudget]] = MappingProxyType(
    {
        "low": SearchBudget(carriers=1, words=2, keep=500, reranked=64, tried=8, group_tests=None, growth=None),
        "normal": SearchBudget(
            carriers=1,
            words=4,
            keep=1500,
            reranked=128,
            tried=16,
            group_tests=GroupTests(pool=256, size=40, count=400),
            growth=Growth(pool=256, asked=64, seeds=16, beam=8, most=3),
        ),
        "high": SearchBudget(
            carriers=3,
            words=4,
            keep=3000,
            reranked=256,
            tried=32,
            group_tests=GroupTests(pool=512, size=40, count=2000),
            growth=Growth(pool=512, asked=128, seeds=32, beam=16, most=4),
        ),
    }
)
"""Ours: docs/detection.md says what is measured. Two words are too few to carry an opinion in some tasks: every word
moves the control as well then, and a planted one does not stand out."""
