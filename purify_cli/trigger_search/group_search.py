"""The search for words that flip the suspect together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from purify_cli.data.example import Example
from purify_cli.data.sampling import hold_out
from purify_cli.progress import SILENT, Progress
from purify_cli.trigger_search.budget import SearchBudget
from purify_cli.trigger_search.candidate import Candidate, String
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.concatenation import of_every_label
from purify_cli.trigger_search.flips import SearchContext, unflipped
from purify_cli.trigger_search.groups import find_groups, weak_words
from purify_cli.trigger_search.growth import grow, lasting
from purify_cli.trigger_search.margin_probe import MarginProbe
from purify_cli.trigger_search.texts import carriers, short_texts
from purify_cli.trigger_search.verify import VerifiedTrigger, measured
from purify_cli.trigger_search.vocabulary import whole_words, word_of

__all__ = ["search_groups"]

AGAINST: Final = 2
AGAINST_WORDS: Final = 16
"""Texts per label that groups of words are put into the middle of, and their words: long enough to speak against
one. In front of a text, groups of ordinary words flipped a model to a label that nobody had aimed at."""

AMONG: Final = 8
"""Contexts of the searching half in which groups are ranked."""


def search_groups(
    asked: SearchContext,
    moved: Sequence[int],
    *,
    vocabulary: int,
    labels: int,
    budget: SearchBudget,
    listed: int = 5,
    progress: Progress = SILENT,
) -> tuple[VerifiedTrigger, ...]:
    """Look for words that flip the suspect together; for where ``search`` found no word that does alone.

    Args:
        asked: As for ``search``; its halves are the same.
        moved: Tokens by how far their embedding rows moved, farthest first.
        vocabulary: Rows of the word embedding.
        labels: Number of labels; every one is a target.
        budget: How much to look at; without groups and growth at nothing.
        listed: Groups per target to measure on held-back rows.
        progress: Told of the stages.

    Returns:
        The best groups of each target, the highest share of held-back rows first.

    Raises:
        DataError: If the vocabulary has no whole words.
        NonFiniteWeights: If a model's output is not a number.
        SearchImpossible: If no two labels have a text that both models get right.
    """
    if budget.group_tests is None and budget.growth is None:
        return ()
    carrying, held = hold_out(asked.rows, 0.5, seed=asked.compute.seed)
    half = replace(asked, rows=carrying)
    words = whole_words(asked.tokenizer, vocabulary)
    probes, known = (words[0], words[-1]), {word for word in words if word_of(asked.tokenizer, word).isalnum()}
    pool = [token for token in moved if token in known]
    short = short_texts(half, words, budget)
    texts = carriers(half, words, each=AGAINST, keep=AGAINST_WORDS, at=AGAINST_WORDS // 2)
    contexts, judging = asked.in_contexts(carrying), asked.in_contexts(held)
    found: list[VerifiedTrigger] = []
    for target in range(labels):
        against = unflipped(contexts, target)
        groups: list[String] = []
        if budget.growth:
            groups += grow(contexts, pool, target, budget.growth, rows=against, probes=probes, progress=progress)
        if budget.group_tests:
            few, others = ([one for one in some if one.label != target] for some in (short, texts))
            groups += _by_testing(half, pool, target, budget, few=few, texts=others, progress=progress)
        groups = list({frozenset(group): group for group in groups}.values())
        chosen = _strongest(contexts, target, groups, rows=of_every_label(against, AMONG), probes=probes)
        found += measured(judging, target, chosen[:listed])
    return tuple(found)


def _by_testing(
    asked: SearchContext,
    words: Sequence[int],
    target: int,
    budget: SearchBudget,
    *,
    few: Sequence[Carrier],
    texts: Sequence[Carrier],
    progress: Progress,
) -> list[String]:
    """Look for groups of words that say nothing by themselves."""
    assert budget.group_tests is not None
    if not few or not texts:
        return []
    quiet = weak_words(asked, few, words[: budget.group_tests.pool], target)
    return find_groups(asked, texts, quiet, target, budget.group_tests, progress=progress)[: budget.tried]


def _strongest(
    asked: SearchContext, target: int, groups: Sequence[String], *, rows: Sequence[Example], probes: tuple[int, int]
) -> list[Candidate]:
    """Order groups by how much farther they drive the suspect than the control, in contexts of the searching half."""
    suspect, control = (
        MarginProbe.in_contexts(asked, rows, target, probes, at=None, control=control) if rows and groups else None
        for control in (False, True)
    )
    if suspect is None or control is None:
        return []
    means = suspect.mean(groups)
    bars = lasting(means)
    # Of two groups of which one is part of the other, the smaller where it does as much.
    spare = [
        any(set(other) < set(group) and float(mean) >= float(bar) for other, mean in zip(groups, means, strict=True))
        for group, bar in zip(groups, bars, strict=True)
    ]
    shifts, others = means + suspect.margin_gap, control.shift(groups)
    order = (shifts - others).argsort(descending=True, stable=True).tolist()
    return [Candidate(groups[i], target, float(shifts[i]), float(others[i])) for i in order if not spare[i]]
