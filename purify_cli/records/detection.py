"""What ``purify detect`` writes down."""

from typing import Literal

from pydantic import Field

from purify_cli.checkpoint.aligned import Skipped
from purify_cli.checkpoint.difference import Difference
from purify_cli.evidence.gamma import GammaFit
from purify_cli.evidence.rows import EmbeddingRow
from purify_cli.evidence.search_outcome import ContinuationSearch, TriggerSearch
from purify_cli.evidence.signs import Sign
from purify_cli.inputs.curvature_cache import CurvatureFacts
from purify_cli.inputs.identity import DataFacts, ModelFacts
from purify_cli.inputs.scoring import IndicatorFacts
from purify_cli.records.base import Part, Record, StoredVerdict

__all__ = ["ComparisonCounts", "Detection", "GroupFact"]


class ComparisonCounts(Part, frozen=True):
    """What was compared."""

    dimensions: int = Field(description="d: comparable dimensions.")
    tensors: int
    moved: int = Field(description="Dimensions whose drift is not exactly zero.")
    skipped: list[Skipped]


class GroupFact(Part, frozen=True, from_attributes=True):
    """Drift and score of one tensor or one layer."""

    name: str
    entries: int
    moved: int
    relative_drift: float | None = Field(description="Norm of the drift over norm of the reference.")
    max_drift: float
    mean_score: float
    top_share: float = Field(description="Share of this group's dimensions among the top 1 % of all scores.")
    top_count: int


class Detection(Record, frozen=True):
    """``detection.json``: what ``purify detect`` found."""

    kind: Literal["detection"] = "detection"
    task: Literal["classification", "causal"] | None = Field(
        default=None, description="What the suspect is; null of a bare encoder, and in records of earlier versions."
    )
    suspect: ModelFacts
    reference: ModelFacts
    data: DataFacts | None
    unlabelled: DataFacts | None = Field(
        default=None,
        description="Texts without labels; null where none were given, and in records of versions without.",
    )
    verdict: StoredVerdict
    comparison: ComparisonCounts
    differences: list[Difference]
    nonfinite: dict[str, int]
    curvature: CurvatureFacts | None
    indicator: IndicatorFacts
    gamma: GammaFit | None
    layers: list[GroupFact]
    tensors: list[GroupFact]
    embedding_rows: list[EmbeddingRow]
    signs: list[Sign] = Field(default=[], description="Empty in records of versions without them.")
    search: TriggerSearch | None = Field(
        default=None, description="Of a classifier; null where it did not run or could not finish."
    )
    sayings: ContinuationSearch | None = Field(default=None, description="Of a language model; null likewise.")

    @property
    def searched(self) -> TriggerSearch | ContinuationSearch | None:
        """The search for triggers, of whatever task."""
        return self.search or self.sayings
