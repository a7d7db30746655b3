"""What a search for triggers came to, of a classifier or of a language model."""

from dataclasses import dataclass
from typing import Final, final

from purify_cli.evidence.verdict import Finding
from purify_cli.records.detection import ForcedContinuationFacts, SearchFacts

__all__ = ["STAGE", "SearchOutcome"]

STAGE: Final = "trigger search"
"""Its name in verdicts."""


@final
@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What a search came to."""

    facts: SearchFacts | ForcedContinuationFacts | None
    finding: Finding | None
    """None where it could not be done: the stage stays unmeasured."""
    missing: str | None
    """Why it could not be done, or what it leaves open."""
