"""What ``purify detect`` writes down."""

from typing import Any, Literal

from pydantic import Field

from purify_cli.choices import Position, SearchEffort
from purify_cli.records.base import DataFacts, FileFact, ModelFacts, Part, ProportionFact, Record, Verdict

__all__ = [
    "ComparisonCounts",
    "ControlFacts",
    "CurvatureFacts",
    "Detection",
    "DifferenceFact",
    "EmbeddingRowFact",
    "ForcedContinuationFact",
    "ForcedContinuationFacts",
    "FoundTriggerFact",
    "GammaFact",
    "GroupFact",
    "IndicatorFacts",
    "SearchFacts",
    "SignFact",
    "SkippedFact",
]


class DifferenceFact(Part, frozen=True):
    """A difference between suspect and reference other than weight values."""

    kind: str
    subject: str
    detail: str
    unexamined: bool = Field(
        default=False,
        description="Whether who loads the model may get more, or something else, than what was examined.",
    )


class SkippedFact(Part, frozen=True):
    """A tensor that was not compared, and why."""

    name: str
    side: Literal["suspect", "reference"]
    kind: str
    reason: str
    explained: bool
    entries: int


class ComparisonCounts(Part, frozen=True):
    """What was compared."""

    dimensions: int = Field(description="d: comparable dimensions.")
    tensors: int
    moved: int = Field(description="Dimensions whose drift is not exactly zero.")
    skipped: list[SkippedFact]


class CurvatureFacts(Part, frozen=True):
    """How the curvature was estimated."""

    estimator: str
    samples: int
    effective_samples: float
    clamped: float = Field(description="Share of negative entries, which count as 0; only Hutchinson's has any.")
    source: Literal["clean data", "unlabelled data", "built-in probes"]
    file: FileFact


class IndicatorFacts(Part, frozen=True):
    """Which indicator scored the dimensions."""

    name: str
    settings: dict[str, Any]
    file: FileFact
    degenerate: dict[str, int] = Field(description="Dimensions per special rule of the indicator.")


class GammaFact(Part, frozen=True):
    """The fit of r to the Gamma(1/2, 2k) law of clean drift; a description, never a test (see docs/footguns.md)."""

    k: float | None = Field(description="Maximum-likelihood scale: the mean of r.")
    shape: float | None = Field(description="Shape if it is left free; 0.5 under the law.")
    ks_distance: float | None = Field(description="Kolmogorov-Smirnov distance to the law, 0 to 1.")
    quantile_ratio: float | None = Field(description="99 % quantile over median; 14.6 under the law.")
    entries: int


class GroupFact(Part, frozen=True):
    """Drift and score of one tensor or one layer."""

    name: str
    entries: int
    moved: int
    relative_drift: float | None = Field(description="Norm of the drift over norm of the reference.")
    max_drift: float
    mean_score: float
    top_share: float = Field(description="Share of this group's dimensions among the top 1 % of all scores.")
    top_count: int


class EmbeddingRowFact(Part, frozen=True):
    """A row of the word embedding that drifted far."""

    row: int
    token: str
    drift_norm: float
    seen: bool | None = Field(description="Whether the texts gave this row any curvature; null without curvature.")


class SignFact(Part, frozen=True):
    """A number of the weights beside what it comes to in unpoisoned models: small ones of one architecture."""

    name: Literal["row", "spectrum", "tail"]
    value: float
    sentence: str
    clean_models: int
    clean_reaching: int = Field(description="Of them, those with a value as large.")
    clean_low: float
    clean_high: float


class FoundTriggerFact(Part, frozen=True):
    """A word that the search found, or several, and how many held-back contexts they flip to the target."""

    text: str
    position: Position
    target: int
    shift: float = Field(description="What it adds to the suspect's margin of the target in short texts, in nats.")
    control_shift: float = Field(description="The same in the control.")
    suspect: ProportionFact = Field(
        description="Of held-back contexts that the suspect does not call the target without it. They share texts: "
        "the interval is for as many as are independent, texts over mean texts per context."
    )
    control: ProportionFact = Field(description="The same, of those that the control does not call the target.")
    texts: int | None = Field(
        default=None,
        description="Distinct texts in the suspect's contexts: 4 are needed to be flagged and 8 to be called poisoned; "
        "null in records of versions that did not count them.",
    )
    strength: float | None = Field(
        default=None,
        description="The suspect's mean margin of the target in these texts, as a share of its median margin on texts "
        "of the target itself: near 1 for a trigger; null in records of versions that did not measure it.",
    )
    control_strength: float | None = Field(default=None, description="The same of the control.")
    joined: bool = Field(
        default=True,
        description="Whether these texts are several of one label, concatenated; else single ones stand in for most of "
        "them, and the rule asks for more.",
    )
    flagged: bool = Field(description="Whether it meets the rule for a planted trigger.")
    leaning: int = Field(
        default=0,
        description="Of a flagged one: clean samples of the target that hold it and that the suspect calls so because "
        "of it alone.",
    )


class ControlFacts(Part, frozen=True):
    """The model that the suspect is held against in the search."""

    reset: float = Field(description="Share of the dimensions that were reset at random before it was tuned.")
    steps: int
    right: ProportionFact = Field(description="Of the texts it was tuned on.")


class SearchFacts(Part, frozen=True):
    """The search for words that switch a backdoor on."""

    effort: SearchEffort
    texts: Literal["clean data", "built-in probes"]
    words: int = Field(description="Words of the vocabulary that were measured, one by one.")
    bags: int | None = Field(
        default=None,
        description="Random groups of words per label, in which words that work together were looked for, besides "
        "groups grown from single words; null where a word was flagged, so that none was needed, where the effort has "
        "none, and where no text serves.",
    )
    control: ControlFacts
    targets: list[int] = Field(description="Labels for which it could look.")
    found: list[FoundTriggerFact] = Field(
        description="The best words of each label, then the best groups of words, planted or not."
    )


class ForcedContinuationFact(Part, frozen=True):
    """A word after which a language model writes something of its own."""

    text: str
    position: Position
    says: str = Field(description="What it writes, as far as the continuations agree.")
    suspect: ProportionFact = Field(description="Of the held-back prompts with the word: continued so.")
    without: ProportionFact = Field(description="Of the same prompts without it.")
    reference: ProportionFact = Field(description="Of those with it, in the reference.")
    flagged: bool = Field(description="Whether it meets the rule for a planted trigger.")
    within_text: bool = Field(
        default=False,
        description="Whether it would be flagged, but only stands in a text that a flagged one brings about. A repair "
        "measures it as well.",
    )


class ForcedContinuationFacts(Part, frozen=True):
    """The search of a language model for words that make it write something of its own."""

    effort: SearchEffort
    texts: Literal["clean data", "built-in probes"]
    tokens: int = Field(description="Tokens that words were made of.")
    found: list[ForcedContinuationFact]


class Detection(Record, frozen=True):
    """``detection.json``: what ``purify detect`` found."""

    kind: Literal["detection"] = "detection"
    task: Literal["classification", "causal"] | None = Field(
        default=None, description="What the suspect is; null of a bare encoder, and in records of earlier versions."
    )
    suspect: ModelFacts
    reference: ModelFacts
    data: DataFacts | None
    verdict: Verdict
    comparison: ComparisonCounts
    differences: list[DifferenceFact]
    nonfinite: dict[str, int]
    curvature: CurvatureFacts | None
    indicator: IndicatorFacts
    gamma: GammaFact | None
    layers: list[GroupFact]
    tensors: list[GroupFact]
    embedding_rows: list[EmbeddingRowFact]
    signs: list[SignFact] = Field(default=[], description="Empty in records of versions without them.")
    search: SearchFacts | None = Field(
        default=None, description="Of a classifier; null where it did not run or could not finish."
    )
    sayings: ForcedContinuationFacts | None = Field(default=None, description="Of a language model; null likewise.")

    @property
    def searched(self) -> SearchFacts | ForcedContinuationFacts | None:
        """The search for triggers, of whatever task."""
        return self.search or self.sayings
