"""What a search for triggers came to, of a classifier or of a language model."""

from dataclasses import dataclass
from typing import Final, Literal, final

from purify_cli.choices import Position, SearchEffort
from purify_cli.evidence.verdict import Finding
from purify_cli.measures.intervals import Proportion
from purify_cli.trigger_search.found import ForcingWord, FoundTrigger

__all__ = [
    "STAGE",
    "ContinuationSearch",
    "ControlModel",
    "FlippingWord",
    "SearchOutcome",
    "TriggerSearch",
    "repair_triggers",
]

STAGE: Final = "trigger search"
"""Its name in verdicts."""

KNOWS: Final = 0.75
"""Share of held-back samples that a student must answer as the suspect does, or a search that flags nothing is
``incomplete``. Ours."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FlippingWord:
    """A word that the search found, or several, and how many held-back contexts they flip to the target."""

    text: str
    position: Position
    target: int
    shift: float
    """What it adds to the suspect's margin of the target in short texts, in nats."""
    control_shift: float
    """The same in the control."""
    suspect: Proportion
    """Of held-back contexts that neither model calls the target without it. They share texts: the interval is for as
    many as are independent, texts over mean texts per context."""
    control: Proportion
    """The same in the control."""
    apart: Proportion | None = None
    """Of the same: flipped in the suspect and not in the control. The rule looks at the lower end of the interval; null
    in records of versions that had another rule."""
    texts: int | None = None
    """Distinct texts in these contexts; null in records of versions that did not count them."""
    strength: float | None = None
    """The suspect's mean margin of the target in these texts, as a share of its median margin on texts of the target
    itself: near 1 for a trigger; null in records of versions that did not measure it."""
    control_strength: float | None = None
    """The same of the control."""
    joined: bool = True
    """Whether these texts are several of one label, concatenated; else single ones, which are flipped more easily."""
    second_student: bool = False
    """Whether the control is a second student, that had no say in finding it."""
    flagged: bool
    """Whether it meets the rule for a planted trigger."""
    leaning: int = 0
    """Of a flagged one: clean samples of the target that hold it and that the suspect calls so because of it alone."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ControlModel:
    """The model that the suspect is held against in the search: a student."""

    texts: Literal["unlabelled texts", "made of the clean samples"]
    """What it was taught on, besides clean samples."""
    taught: int
    """How many texts."""
    repeated: int
    """Unlabelled texts that were left out as copies of others, or of clean samples."""
    steps: int
    right: Proportion
    """Of clean samples that it was not taught on."""
    agrees: Proportion
    """Of the same: it answers as the suspect does."""

    @property
    def knows(self) -> bool:
        """Whether it knows the task well enough that a search which flags nothing says something."""
        return self.agrees.value >= KNOWS


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSearch:
    """The search for words that switch a backdoor on."""

    effort: SearchEffort
    texts: Literal["clean data", "built-in probes"]
    words: int
    """Words of the vocabulary that were measured, one by one."""
    phrases: int | None = None
    """Neutral phrases that were put in front of single texts and behind them; null where a word was flagged, so that
    none was needed, and where the effort has none."""
    groups: int | None = None
    """Groups of words per label, at most, in which words that work together were looked for; null where a word or
    phrase was flagged, so that none was needed, where the effort has none, and where no text serves."""
    control: ControlModel
    targets: tuple[int, ...]
    """Labels for which it could look."""
    found: tuple[FlippingWord, ...]
    """The best words of each label, then phrases and groups of words, planted or not."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuationSearch:
    """The search of a language model for words that make it write something of its own."""

    effort: SearchEffort
    texts: Literal["clean data", "built-in probes"]
    tokens: int
    """Tokens that words were made of."""
    found: tuple[ForcingWord, ...]


@final
@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What a search came to."""

    facts: TriggerSearch | ContinuationSearch | None
    finding: Finding | None
    """None where it could not be done: the stage stays unmeasured."""
    missing: str | None
    """Why it could not be done, or what it leaves open."""


def repair_triggers(search: TriggerSearch | ContinuationSearch | None) -> list[FoundTrigger]:
    """Return what a repair works on: what is held to be planted, and words within a text that it brings about."""
    match search:
        case TriggerSearch():
            return [
                FoundTrigger(
                    text=one.text,
                    position=one.position,
                    target=one.target,
                    strength=one.strength or 0.0,
                    contrast=one.shift - one.control_shift,
                )
                for one in search.found
                if one.flagged
            ]
        case ContinuationSearch():
            return [
                FoundTrigger(
                    text=one.text,
                    position=one.position,
                    target=one.says,
                    strength=one.suspect.value,
                    contrast=one.suspect.value - one.reference.value,
                )
                for one in search.found
                if one.flagged or one.within_text
            ]
        case None:
            return []
