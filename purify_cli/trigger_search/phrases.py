"""Phrases that say nothing about a task: a form of sentence, or a manner of speaking, may be what flips a suspect.

A trigger that is a form has no word of its own. Its openings do what it does, in single texts: among the several texts
of a context a form is lost.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Final

from transformers import PreTrainedTokenizerBase

from purify_cli.choices import Position
from purify_cli.data.batches import token_ids
from purify_cli.data.triggers import Trigger
from purify_cli.errors import SearchImpossible
from purify_cli.trigger_search.concatenation import of_every_label
from purify_cli.trigger_search.flips import Flips, counted, margins_with, unflipped
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.rule import level_of
from purify_cli.trigger_search.verify import LISTED, VerifiedTrigger, verified

__all__ = ["PHRASES", "PLACES", "search_phrases", "writable"]

_KINDS: Final = tomllib.loads(files("purify_cli.trigger_search").joinpath("phrases.toml").read_text(encoding="utf-8"))

PHRASES: Final[tuple[str, ...]] = tuple(line for kind in _KINDS.values() for line in kind.strip().splitlines())
"""In a fixed order."""

PLACES: Final[tuple[Position, ...]] = ("start", "end")

TRIED_ON: Final = 8
SEVERAL: Final = 2
MEASURED: Final = 24
"""Texts per target of the searching half that phrases are tried in; how many of them a phrase must flip in the suspect
alone, or only the best phrase is measured on held-back texts; and phrases per target that are: a form has many
openings, and a repair needs to know them."""


def writable(tokenizer: PreTrainedTokenizerBase, phrases: Sequence[str] = PHRASES) -> list[str]:
    """Return the phrases that a tokenizer has a piece of: others are nothing in a text."""
    unknown = tokenizer.unk_token_id
    return [one for one in phrases if any(token != unknown for token in token_ids(tokenizer, one))]


def search_phrases(asked: SearchInputs, labels: int, phrases: Sequence[str] = PHRASES) -> tuple[VerifiedTrigger, ...]:
    """Look for phrases that flip the suspect and not the control, one text at a time.

    Args:
        asked: As for ``search``; its halves are the same.
        labels: Number of labels; every one is a target.
        phrases: To try, in front of texts and behind them; of these what is ``writable``.

    Returns:
        Of each target those that are flagged, and the best, the highest share of held-back texts first.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
        SearchImpossible: If the tokenizer knows nothing of the phrases.
    """
    phrases = writable(asked.tokenizer, phrases)
    if not phrases:
        raise SearchImpossible("the tokenizer knows no piece of any", hint="Trust what words show, no further.")
    halves, room = asked.halves, max(len(token_ids(asked.tokenizer, phrase)) for phrase in phrases)
    asked.progress.note(f"trying {len(phrases)} phrases in front of texts and behind them")
    half, judging = (replace(one, rows=one.with_room(one.rows, room)) for one in (halves.choosing, halves.held))
    found: list[VerifiedTrigger] = []
    for target in range(labels):
        rows = of_every_label(unflipped(half, target), TRIED_ON)
        if not rows:
            continue
        bare = [float(asked.margins(one, rows, target).mean()) for one in (asked.suspect, asked.control)]
        triggers = [Trigger(text, position=place, source="found") for place in PLACES for text in phrases]
        own = {one: margins_with(half, rows, one, target, either_way=True) for one in triggers}
        # The control need not be asked about what does not flip the suspect, but for the best, which is told.
        triggers.sort(key=lambda one: (int((own[one] > 0).sum()), float(own[one].mean())), reverse=True)
        moving = [one for i, one in enumerate(triggers) if i == 0 or bool((own[one] > 0).any())]
        other = {one: margins_with(half, rows, one, target, control=True, either_way=True) for one in moving}
        tried = [(one, counted(rows, own[one], other[one])) for one in moving]
        tried.sort(key=lambda one: _rank(one[1]), reverse=True)
        worth = [one for i, one in enumerate(tried[:MEASURED]) if i == 0 or one[1].apart.successes >= SEVERAL]
        best = [(one, turned.margin - bare[0], turned.control_margin - bare[1]) for one, turned in worth]
        ranked = verified(judging, target, best)
        found += [one for i, one in enumerate(ranked) if i < LISTED or level_of(one.flips.apart) != "no-finding"]
    return tuple(replace(one, joined=False) for one in found)


def _rank(turned: Flips) -> tuple[int, float]:
    return turned.apart.successes, turned.margin - turned.control_margin
