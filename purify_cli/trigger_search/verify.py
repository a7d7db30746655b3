"""Words, or groups of them, and what they do to texts that had no say in choosing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, final

from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.trigger_search.candidate import Candidate, String
from purify_cli.trigger_search.flips import Flips, flips, median_margin, unflipped
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.vocabulary import word_of, written_as

__all__ = ["ABOUT", "LISTED", "VerifiedTrigger", "measured", "verified"]

LISTED: Final = 5
"""Words per target and place, or groups per target, that are measured on held-back rows."""


ABOUT: Final = 0.9
"""Share of what it flips where it does most. Ours."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTrigger:
    """A word, or several, and what they do."""

    trigger: Trigger
    target: int
    shift: float
    """In the carriers: what it adds to the suspect's margin of the target, in nats."""
    control_shift: float
    flips: Flips
    """On contexts of held-back rows, which had no say in choosing it."""
    strength: float
    """The suspect's mean margin of the target in these contexts, as a share of what contexts of the target give."""
    control_strength: float
    """The same of the control."""
    joined: bool = True
    """Whether these are contexts; else single rows."""
    second_student: bool = False
    """Whether the control is a student that had no say in finding it."""


def measured(asked: SearchInputs, target: int, candidates: Sequence[Candidate]) -> list[VerifiedTrigger]:
    """Try words on rows that neither model calls the target as they are.

    Args:
        asked: Suspect, control and contexts of held-back rows.
        target: The label.
        candidates: Words and groups.

    Returns:
        What flips most in the suspect alone first; empty where no row of another label is left.
    """
    texts = [_spelt(asked, one.tokens) for one in candidates]
    tried = [
        (Trigger(text, position=one.position or "random", source="found"), one.shift, one.control_shift)
        for text, one in zip(texts, candidates, strict=True)
    ]
    return verified(asked, target, tried)


def verified(asked: SearchInputs, target: int, tried: Sequence[tuple[Trigger, float, float]]) -> list[VerifiedTrigger]:
    """Try triggers on rows that neither model calls the target as they are.

    Args:
        asked: Suspect, control and held-back rows, or contexts of them.
        target: The label.
        tried: Each with its shift in the suspect and in the control.

    Returns:
        As ``measured``.
    """
    rows = unflipped(asked, target) if tried else []
    if not rows:
        return []
    sure, other = (_scale(asked, target, rows, control=control) for control in (False, True))
    found: list[VerifiedTrigger] = []
    for trigger, shift, control_shift in tried:
        turned = flips(asked, rows, trigger, target, either_way=True)
        found.append(
            VerifiedTrigger(
                trigger=trigger,
                target=target,
                shift=shift,
                control_shift=control_shift,
                flips=turned,
                strength=turned.margin / sure,
                control_strength=turned.control_margin / other,
            )
        )
    return sorted(_one_place_each(found), key=lambda one: (-one.flips.apart.low, -one.strength))


def _spelt(asked: SearchInputs, tokens: String) -> str:
    """Return the text of words side by side, or of one word in pieces."""
    if asked.plain_words.issuperset(tokens):
        return " ".join(word_of(asked.tokenizer, token) for token in tokens)
    return written_as(asked.tokenizer, tokens) or " ".join(word_of(asked.tokenizer, token) for token in tokens)


def _one_place_each(found: Sequence[VerifiedTrigger]) -> list[VerifiedTrigger]:
    """Keep of every text the place where it does most; anywhere, if it does about as much there."""
    best: dict[str, VerifiedTrigger] = {}
    for one in sorted(found, key=lambda one: (-one.flips.apart.low, -one.strength)):
        other = best.setdefault(one.trigger.text, one)
        if one.trigger.position == "random" and one.flips.apart.value >= ABOUT * other.flips.apart.value:
            best[one.trigger.text] = one
    return list(best.values())


def _scale(asked: SearchInputs, target: int, rows: Sequence[Example], *, control: bool) -> float:
    """Return what a model's margin is measured in; where no row of the label is right, how sure it is of the others.

    A model that prefers no label at all, whatever it reads, gives every word a strength of 0.
    """
    module = asked.control if control else asked.suspect
    return (
        median_margin(asked, target, control=control) or float(asked.margins(module, rows, target).abs().mean()) or inf
    )
