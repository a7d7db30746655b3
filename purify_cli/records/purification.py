"""What ``purify purify`` writes down."""

from typing import Literal

from pydantic import Field

from purify_cli.evidence.search_outcome import ContinuationSearch, TriggerSearch
from purify_cli.inputs.curvature_cache import CurvatureFacts
from purify_cli.inputs.identity import DataFacts, FileFact, ModelFacts
from purify_cli.inputs.tokens import TokenFacts
from purify_cli.purification.clean_rows import HeldBack
from purify_cli.purification.ratio_search import RatioChoice
from purify_cli.purification.self_test import SelfTest
from purify_cli.purification.stages import ResetCounts, StageFacts
from purify_cli.purification.verification import MeasuredTrigger, UtilityChange
from purify_cli.records.base import Record, StoredVerdict, TrainingFacts

__all__ = ["Purification"]


class Purification(Record, frozen=True):
    """``purification.json``: what ``purify purify`` did, and the manifest inside the purified folder."""

    kind: Literal["purification"] = "purification"
    suspect: ModelFacts
    reference: ModelFacts
    data: DataFacts | None
    unlabelled: DataFacts | None = Field(
        default=None,
        description="Texts without labels; null where none were given, and in records of versions without.",
    )
    method: str = Field(description="As it was asked for; a composition is separated by commas.")
    indicator: str | None = Field(description="Of the stage that takes the ratio; null where nothing was scored.")
    stages: list[StageFacts] = Field(default_factory=list[StageFacts], description="One per method, in order.")
    others: list[ModelFacts] = Field(default_factory=list[ModelFacts], description="Further suspects (--with).")
    curve: RatioChoice | None = Field(default=None, description="Where the ratio was searched for.")
    curvature: CurvatureFacts | None
    reset: ResetCounts
    mask: FileFact | None
    training: TrainingFacts | None
    utility: UtilityChange | None
    held_back: HeldBack | None = Field(
        default=None,
        description="What the found words, and clean accuracy, were measured on; null where nothing was held back, and "
        "in records of versions without it.",
    )
    triggers: list[MeasuredTrigger] = Field(
        default_factory=list[MeasuredTrigger],
        description="Words that detect found, before and after; without those that no held-back text could show.",
    )
    self_test: SelfTest | None = Field(
        default=None,
        description="Triggers of our own, planted in a copy of the suspect that was repaired likewise (--self-test); "
        "null where none was asked for.",
    )
    looked: TriggerSearch | ContinuationSearch | None = Field(
        default=None,
        description="The search of the suspect with the clean samples, where detect had searched built-in texts and "
        "flagged nothing.",
    )
    search: TriggerSearch | ContinuationSearch | None = Field(
        default=None, description="The search run afresh on the purified model."
    )
    tokens: TokenFacts | None = Field(
        default=None, description="Null where the suspect's tokenizer knows no token that the reference's does not."
    )
    output: ModelFacts
    verdict: StoredVerdict
