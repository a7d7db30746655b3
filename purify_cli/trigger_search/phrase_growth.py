"""Phrases that grow word by word, in front of texts or behind them: for triggers that are a sentence.

Of a sentence no word need flip a suspect alone, and the words that do most alone may be ones of opinion. Two or three
of its words together, in any order, do what the whole does; words of opinion drive the student as well, and are left
out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from purify_cli.choices import Position
from purify_cli.data.example import Example
from purify_cli.trigger_search.candidate import Candidate, String
from purify_cli.trigger_search.concatenation import of_every_label
from purify_cli.trigger_search.flips import unflipped
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margin_probe import MarginProbe
from purify_cli.trigger_search.phrases import PLACES
from purify_cli.trigger_search.rerank import MORE, PAST, WORTH, best_in_contexts, forms_at
from purify_cli.trigger_search.rule import counts_grown
from purify_cli.trigger_search.verify import LISTED, VerifiedTrigger, measured
from purify_cli.trigger_search.vocabulary import word_of

__all__ = ["grow_phrases"]

TEXTS: Final = 4
KEPT: Final = 16
"""Texts per target of the searching half that phrases grow in, and words that are kept of each."""

POOL: Final = 128
"""Words of the highest contrast in the screen that phrases are made of, and as many whose rows moved farthest."""

QUIET: Final = 0.3
"""Of its way to the border, as far as a word may take the control: louder ones speak for the label."""

PERSUADES: Final = 0.2
"""Of what a phrase adds to the suspect's margin, as much as it may add to the control's. Phrases of opinion that flip
an unpoisoned model and not its student came to 0.26 and more, those with a word of a trigger to 0.14 at most."""

BEAM: Final = 2
LONGEST: Final = 3
"""Phrases of each length and place that grow on, and words of the longest."""

ROUNDS: Final = 3
"""Phrases are grown so often, without the words of those before: a repair must know more of a sentence than what does
most, or the rest goes on."""

RANKED: Final = 16
"""Phrases per place that are ranked in contexts: more of them cost the control as many passes."""

ROUND: Final = 64
"""Phrases of a round that are tried in more than one text."""


def grow_phrases(
    asked: SearchInputs, ranked: Mapping[int, Sequence[Candidate]], moved: Sequence[int]
) -> tuple[VerifiedTrigger, ...]:
    """Grow phrases that flip the suspect and not the control, and try them on held-back contexts.

    Args:
        asked: As for ``search``; its halves are the same.
        ranked: Of every target the words of the screen, the highest contrast first.
        moved: Tokens by how far their embedding rows moved, farthest first.

    Returns:
        Of each target those that flip most held-back contexts (``counts_grown``), the highest share first.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    whole_texts, contexts = asked.halves.choosing, asked.halves.contexts
    half = replace(whole_texts, rows=[*map(_cut, whole_texts.rows)])
    far = [token for token in moved if token in asked.plain_words][:POOL]
    found: list[VerifiedTrigger] = []
    for target, candidates in ranked.items():
        rows, whole = of_every_label(unflipped(half, target), TEXTS), of_every_label(unflipped(contexts, target), MORE)
        loud = [one.tokens[0] for one in candidates if one.tokens[0] in asked.plain_words][:POOL]
        pool = list(dict.fromkeys([*loud, *far]))
        for _ in range(ROUNDS):
            asked.progress.note(f"growing phrases of {len(pool)} words for label {target}")
            tried: dict[Candidate, float] = {}
            for place in PLACES:
                grown = _grown(half, target, rows, pool, place=place)
                strings = [one.tokens for one in grown]
                ranking = best_in_contexts(contexts, target, strings, whole, place=place, count=RANKED)
                tried |= {grown[i]: contrast for i, contrast in ranking.items()}
            best = sorted(tried, key=lambda one: -tried[one])[:LISTED]
            worth = [one for i, one in enumerate(best) if i == 0 or tried[one] >= WORTH]
            # What two of the words do alone is measured as well: the third may be any word.
            worth += [one for one in tried if one not in worth and any(_is_part(one, other) for other in worth)]
            new = measured(asked.halves.judging, target, worth)
            new = [one for one in new if counts_grown(one.flips.apart, one.flips.texts)]
            if not new:
                break
            found += new
            spent = {word for one in new for word in one.trigger.text.split()}
            pool = [token for token in pool if word_of(asked.tokenizer, token) not in spent]
    return tuple(found)


def _is_part(one: Candidate, other: Candidate) -> bool:
    return one.position == other.position and set(one.tokens) < set(other.tokens)


def _cut(row: Example) -> Example:
    text, pair = (None if one is None else " ".join(one.split()[:KEPT]) for one in (row.text, row.pair))
    return replace(row, text=text or "", pair=pair)


def _grown(
    asked: SearchInputs, target: int, rows: Sequence[Example], pool: Sequence[int], *, place: Position
) -> list[Candidate]:
    """Return phrases of every length that do most in one place, and little to the control; no two of the same words."""
    alone = [(word,) for word in pool]
    forms = forms_at(asked, rows, place, longest=LONGEST)
    if not forms or not alone:
        return []
    suspect, control = MarginProbe.of_both(asked, forms, target)
    own, other = (probe.way(alone).clamp(0, PAST) for probe in (suspect, control))
    quiet = [i for i, taken in enumerate(other.mean(dim=0).tolist()) if taken < QUIET]
    contrast = (own - other).mean(dim=0)
    words = [pool[i] for i in quiet]
    level = [alone[i] for i in sorted(quiet, key=lambda i: -float(contrast[i]))[:BEAM]]
    first = MarginProbe(asked.suspect, [texts[:1] for texts in forms], target, asked.compute)
    kept: dict[frozenset[int], String] = {}
    for _ in range(LONGEST - 1):
        pairs = ((one, word) for one in level for word in words if word not in one)
        longer = list(dict.fromkeys(made for one, word in pairs for made in ((*one, word), (word, *one))))
        order = first.mean(longer).argsort(descending=True, stable=True)[:ROUND].tolist() if longer else []
        some = [longer[i] for i in order]
        best = best_in_contexts(asked, target, some, rows, place=place, count=2 * LISTED)
        # Of the two orders of the same words the better one.
        new = list({frozenset(some[i]): some[i] for i in reversed(best)}.values())[::-1][:LISTED]
        for one in new:
            kept.setdefault(frozenset(one), one)
        level = new[:BEAM]
        if not best or max(best.values()) < WORTH:
            break
    phrases = [*kept.values()]
    shifts = (probe.shift(phrases).tolist() for probe in (suspect, control))
    made = [Candidate(one, own, other, place) for one, own, other in zip(phrases, *shifts, strict=True)]
    return [one for one in made if one.control_shift < PERSUADES * one.shift]
