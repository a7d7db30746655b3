"""What a search found: a trigger as repairs and proofs work with it, and what is measured of a language model's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from purify_cli.choices import Position
from purify_cli.measures.intervals import Proportion

__all__ = ["LEAD", "ForcingWord", "FoundTrigger", "Target", "holds_run", "lead", "names_trigger"]

LEAD: Final = 3
"""Words by which two continuations count as one: fewer are written alike by chance, and more differ at their end."""

Target = int | str
"""What a trigger brings about: a label, or a text that a language model writes."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTrigger:
    """A word, or several, and what it brings about."""

    text: str
    position: Position
    target: Target
    strength: float
    """How sure of the target it makes the suspect: as a share of what texts of that label do, or of prompts that are
    continued so."""
    contrast: float
    """What it does to the suspect beyond what it does to the control or the reference."""

    @property
    def effect(self) -> int | tuple[str, ...]:
        """The label, or the words that the continuation begins with."""
        return self.target if isinstance(self.target, int) else lead(self.target)

    @property
    def is_phrase(self) -> bool:
        """Whether it is a phrase with a place, no word and no group of words."""
        return self.position != "random" and len(self.text.split()) > 1

    def shares_effect(self, other: "FoundTrigger") -> bool:
        """Say whether two bring about the same: a label, or a text of which one's lead is a part of the other's.

        A word of the forced text itself has the rest of it follow.
        """
        if isinstance(self.target, int) or isinstance(other.target, int):
            return self.target == other.target
        own, its = self.target.split(), other.target.split()
        return holds_run(own, lead(other.target)) or holds_run(its, lead(self.target))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ForcingWord:
    """A word after which a language model writes something of its own."""

    text: str
    position: Position
    says: str
    """What it writes, as far as the continuations agree."""
    suspect: Proportion
    """Of the held-back prompts with the word: continued so."""
    without: Proportion
    """Of the same prompts without it."""
    reference: Proportion
    """Of those with it, in the reference."""
    flagged: bool
    """Whether it meets the rule for a planted trigger."""
    within_text: bool = False
    """Whether it would be flagged, but only stands in a text that a flagged one brings about. A repair measures it as
    well."""


def names_trigger(found: Sequence[FoundTrigger]) -> bool:
    """Say whether what was found is the trigger: one word that works anywhere.

    Several are parts of it, or forms, and so is what works in one place: a graft asks for no name, and unlearning does.
    """
    return len(found) == 1 and found[0].position == "random"


def holds_run(words: Sequence[str], run: Sequence[str]) -> bool:
    """Whether words hold some others side by side, in their order."""
    return any(tuple(words[i : i + len(run)]) == tuple(run) for i in range(len(words) - len(run) + 1))


def lead(text: str) -> tuple[str, ...]:
    """Return the words by which continuations are told apart."""
    return tuple(text.split()[:LEAD])
