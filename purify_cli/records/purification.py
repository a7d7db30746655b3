"""What ``purify purify`` writes down."""

from typing import Any, Literal

from pydantic import Field

from purify_cli.choices import Position
from purify_cli.records.base import (
    DataFacts,
    FileFact,
    ModelFacts,
    Part,
    PerplexityFact,
    ProportionFact,
    Record,
    TrainingFacts,
    Verdict,
)
from purify_cli.records.detection import CurvatureFacts, ForcedContinuationFacts, SearchFacts

__all__ = [
    "HeldBackFacts",
    "Purification",
    "RatioCurveFacts",
    "RatioPointFact",
    "ResetCounts",
    "StageFacts",
    "TokenFacts",
    "UnlearnedFact",
    "UtilityFacts",
]


class ResetCounts(Part, frozen=True):
    """What was reset."""

    ratio: float = Field(
        description="Of a posterior blend: the mean probability of being poisoned. 0 where no stage takes a ratio."
    )
    dimensions: int
    reset: int = Field(
        description="round(ratio · dimensions); of a posterior blend, what it amounts to; of a method with a ratio in "
        "a unit of its own, the entries it set."
    )
    changed: int = Field(description="Reset dimensions whose value differed from the reference.")
    beyond_ratio: int = Field(description="Set above the ratio: non-finite entries, and those of the other stages.")
    nonfinite: int | None = Field(default=None, description="Non-finite entries among them.")
    per_tensor: dict[str, int]


class StageFacts(Part, frozen=True):
    """One method of a composition, in the order in which they worked."""

    method: str
    ratio: float | None = Field(
        description="What it was given; of a posterior blend, what it came to; null: it takes none."
    )
    entries: int = Field(description="Entries that it set.")
    changed: int = Field(description="Entries that hold another value since.")
    indicator: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict, description="What else the method says of its work.")


class RatioPointFact(Part, frozen=True):
    """One ratio of a search."""

    ratio: float
    accuracy: ProportionFact | None = Field(
        default=None, description="Of a classifier, over all folds together, each measured by what never saw it."
    )
    perplexity: PerplexityFact | None = Field(default=None, description="Of a language model, likewise.")
    passes: bool = Field(description="Whether the baseline is ahead by no more than the budget.")

    @property
    def utility(self) -> ProportionFact | PerplexityFact | None:
        """Whichever was measured."""
        return self.accuracy or self.perplexity


class RatioCurveFacts(Part, frozen=True):
    """How ``--ratio auto`` chose: utility over the ratio, on held-back clean samples only."""

    chosen: float
    max_drop: float = Field(description="Of accuracy; of a language model the relative rise of perplexity.")
    baseline: ProportionFact | PerplexityFact = Field(
        description="Plain fine-tuning of the same suspect on the same folds."
    )
    points: list[RatioPointFact] = Field(description="Ascending.")
    untried: list[float] = Field(description="Ratios left out because a smaller one had lost far too much already.")
    folds: int
    resolution: float = Field(description="What one sample counts: no smaller difference can be seen.")
    rule: str


class UtilityFacts(Part, frozen=True):
    """Accuracy of a classifier, or perplexity of a language model: before and after, on what rows, what budget."""

    measured_on: Literal["held-back clean samples", "two-fold", "the clean samples that were used for it"] = Field(
        description="two-fold: of the repairs on one half each, as in held_back."
    )
    before: ProportionFact | PerplexityFact
    after: ProportionFact | PerplexityFact
    max_drop: float | None
    within_budget: bool | None = Field(description="null where no budget was given.")


class HeldBackFacts(Part, frozen=True):
    """The clean samples that measure a repair: no curvature, tuning or unlearning behind the measurement saw them."""

    measured_on: Literal["held-back clean samples", "two-fold"] = Field(
        description="two-fold, of fewer than 16 samples: the same repair is done on one half and measured on the "
        "other, and the other way round where no search chose its words on the samples; the written model is tuned on "
        "all."
    )
    rows: list[int] = Field(description="Their numbers among the clean samples, counted from 1; every text once.")
    seed: int = Field(description="Decides which; that of the search where it chose its words on the same samples.")
    searched: bool = Field(
        description="Whether a search chose its words on the same samples: these are then of the half that it did not "
        "choose on."
    )


class UnlearnedFact(Part, frozen=True):
    """A word that was found in the suspect, measured again: held-back texts that it flips to the target."""

    text: str
    position: Position
    target: int | str = Field(description="A label, or the text that a language model is made to write.")
    before: ProportionFact = Field(
        description="In the suspect, of the held-back texts of other labels that neither the suspect nor the purified "
        "model calls the target without the word. In records without measured_on the texts may be those of the "
        "fine-tuning, and only the suspect's answers chose them."
    )
    after: ProportionFact = Field(
        description="In the purified model, of the very same texts; without measured_on, of fewer."
    )
    left_out: int | None = Field(
        default=None,
        description="Held-back texts of other labels that the suspect or the purified model calls the target without "
        "the word, so that nothing can be seen in them; null in records of versions that did not count them.",
    )
    measured_on: Literal["held-back clean samples", "two-fold"] | None = Field(
        default=None, description="As in held_back; null in records of versions without it."
    )
    worked_on: bool = Field(
        description="Whether reset and unlearning worked on it: a weaker word of the same target is left out where it "
        "goes with the strongest."
    )


class TokenFacts(Part, frozen=True):
    """Tokens that the suspect's tokenizer knows and the reference's does not."""

    kept: list[str] = Field(description="Added to the reference's tokenizer: texts are read with them.")
    gone: list[str] = Field(description="Not in the written tokenizer; the first of them where they are many.")
    gone_count: int
    reordered: bool = Field(
        description="Whether the suspect numbers the same tokens otherwise; what was written follows the reference."
    )


class Purification(Record, frozen=True):
    """``purification.json``: what ``purify purify`` did, and the manifest inside the purified folder."""

    kind: Literal["purification"] = "purification"
    suspect: ModelFacts
    reference: ModelFacts
    data: DataFacts | None
    method: str = Field(description="As it was asked for; a composition is separated by commas.")
    indicator: str | None = Field(description="Of the stage that takes the ratio; null where nothing was scored.")
    stages: list[StageFacts] = Field(default_factory=list[StageFacts], description="One per method, in order.")
    others: list[ModelFacts] = Field(default_factory=list[ModelFacts], description="Further suspects (--with).")
    curve: RatioCurveFacts | None = Field(default=None, description="Where the ratio was searched for.")
    curvature: CurvatureFacts | None
    reset: ResetCounts
    mask: FileFact | None
    training: TrainingFacts | None
    utility: UtilityFacts | None
    held_back: HeldBackFacts | None = Field(
        default=None,
        description="What the found words, and clean accuracy, were measured on; null where nothing was held back, and "
        "in records of versions without it.",
    )
    triggers: list[UnlearnedFact] = Field(
        default_factory=list[UnlearnedFact],
        description="Words that detect found, before and after; without those that no held-back text could show.",
    )
    looked: SearchFacts | ForcedContinuationFacts | None = Field(
        default=None,
        description="The search of the suspect with the clean samples, where detect had searched built-in texts and "
        "flagged nothing.",
    )
    search: SearchFacts | ForcedContinuationFacts | None = Field(
        default=None, description="The search run afresh on the purified model."
    )
    tokens: TokenFacts | None = Field(
        default=None, description="Null where the suspect's tokenizer knows no token that the reference's does not."
    )
    output: ModelFacts
    verdict: Verdict
