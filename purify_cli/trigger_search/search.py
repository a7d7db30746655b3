"""The search as a whole: which words flip the suspect, by how much, and on how many texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from purify_cli.data.example import Example
from purify_cli.errors import SearchImpossible
from purify_cli.trigger_search.budget import SearchBudget
from purify_cli.trigger_search.candidate import Candidate
from purify_cli.trigger_search.concatenation import of_every_label
from purify_cli.trigger_search.flips import Reach, unflipped
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.rerank import FEW, MORE, WORTH, best_in_contexts, best_per_place
from purify_cli.trigger_search.screen import screen
from purify_cli.trigger_search.texts import confident_texts
from purify_cli.trigger_search.verify import LISTED, VerifiedTrigger, measured
from purify_cli.trigger_search.vocabulary import letter_pairs

__all__ = ["SearchResult", "check_rows", "search"]

FEWEST: Final = 4
"""Rows of a label that a search needs: half of them carry, half are held back."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The outcome of a search."""

    words: int
    """Measured."""
    known: int
    """Whole words of the vocabulary."""
    targets: tuple[int, ...]
    """Labels that were looked at."""
    held: Mapping[int, Reach | None]
    """Per label what held-back contexts of others can say; None where no context of either half is left to flip,
    or holds a word."""
    ranked: Mapping[int, Sequence[Candidate]]
    """Of every target the words of the screen, the highest contrast first."""
    found: tuple[VerifiedTrigger, ...]
    """The best words of each target, the highest share of held-back rows first."""


def search(
    asked: SearchInputs, labels: int, budget: SearchBudget, *, among: frozenset[int] | None = None
) -> SearchResult:
    """Look for words that flip the suspect to a label, and leave the control as it is.

    One half of the rows carries the words, chooses among them and is then done with; the other half measures the best.
    Both choose and measure on rows of one label joined to contexts (``concatenated``).

    Args:
        asked: Suspect, control, clean labelled rows, and the words of the vocabulary.
        labels: Number of labels; every one is a target.
        budget: How much to look at.
        among: Tokens that may be tried, if there is a word among them; default: every word of the vocabulary.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
        SearchImpossible: If a label has too few rows, or no two labels have a text that both models get right.
    """
    check_rows(asked.rows, labels)
    half = asked.halves
    words = [word for word in asked.words if among is None or word in among] or asked.words
    carriers = confident_texts(half.choosing, each=budget.carriers, keep=budget.words, at=0)
    targets = [t for t in range(labels) if any(one.label != t for one in carriers)]
    asked.progress.note(f"measuring {len(words)} words in {len(carriers)} short texts")
    ranked = screen(asked, carriers, [(word,) for word in words], targets, keep=budget.keep)
    pairs = [pair for pair in letter_pairs(asked.tokenizer) if among is None or among.issuperset(pair)]
    spelt = screen(asked, carriers, pairs, targets, keep=len(pairs)) if pairs else {}
    found: list[VerifiedTrigger] = []
    held_back: dict[int, Reach | None] = dict.fromkeys(range(labels))
    for target, candidates in ranked.items():
        against = unflipped(half.contexts, target)
        few, more = (of_every_label(against, count) for count in (FEW, MORE))
        tried = [
            *candidates[: budget.reranked],
            *_best(half.contexts, target, spelt.get(target, ()), few, budget.tried),
        ]
        some = best_per_place(half.contexts, target, tried, few, budget.tried)
        best = measured(half.judging, target, best_per_place(half.contexts, target, some, more, LISTED, worth=WORTH))
        if best and (judging := unflipped(half.judging, target)):
            held_back[target] = Reach.of(judging)
        found += best
    return SearchResult(
        words=len(words),
        known=len(asked.words),
        targets=tuple(ranked),
        held=held_back,
        ranked=ranked,
        found=tuple(found),
    )


def _best(
    contexts: SearchInputs, target: int, pairs: Sequence[Candidate], rows: Sequence[Example], count: int
) -> list[Candidate]:
    """Choose pairs of letters in contexts: in a short text many drive a suspect as far as it goes."""
    strings = [one.tokens for one in pairs]
    order = best_in_contexts(contexts, target, strings, rows, place="random", count=count, farthest=True)
    return [pairs[i] for i in order]


def check_rows(rows: Sequence[Example], labels: int) -> None:
    """Refuse what a search could do nothing with.

    Raises:
        SearchImpossible: If there is a single label, or one has some rows and too few.
    """
    if labels < 2:
        raise SearchImpossible(
            f"the suspect has {labels} label, so that no word can flip anything", hint="Look at its drift alone."
        )
    counts = {label: sum(row.label == label for row in rows) for label in range(labels)}
    few = [label for label, count in counts.items() if 0 < count < FEWEST]
    if few:
        raise SearchImpossible(
            f"label {few[0]} has {counts[few[0]]} rows, and a search needs {FEWEST}: half to look, half to measure",
            hint="Give more clean rows of it, or none at all.",
        )
