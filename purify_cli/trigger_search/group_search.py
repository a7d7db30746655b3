"""The search for words that flip the suspect together."""

from collections.abc import Sequence
from typing import Final

from purify_cli.data.example import Example
from purify_cli.trigger_search.budget import SearchBudget
from purify_cli.trigger_search.candidate import Candidate, String
from purify_cli.trigger_search.concatenation import of_every_label
from purify_cli.trigger_search.flips import unflipped
from purify_cli.trigger_search.groups import find_groups, largest_group, weak_words
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margin_probe import MarginProbe, context_forms
from purify_cli.trigger_search.texts import confident_texts
from purify_cli.trigger_search.verify import LISTED, VerifiedTrigger, measured

__all__ = ["search_groups"]

AGAINST: Final = 2
AGAINST_WORDS: Final = 16
"""Texts per label that groups of words are put into the middle of, and their words: long enough to speak against
one. In front of a text, groups of ordinary words flipped a model to a label that nobody had aimed at."""

AMONG: Final = 8
"""Contexts of the searching half in which groups are ranked."""

TRIED: Final = 2048
"""Words whose rows moved farthest that are asked whether they say little by themselves. In five small models the words
of triggers that work together alone were among the first 530."""

LASTING: Final = 0.9
"""Of its margin, what a smaller group must keep."""


def search_groups(
    asked: SearchInputs, moved: Sequence[int], labels: int, budget: SearchBudget
) -> tuple[VerifiedTrigger, ...]:
    """Look for words that flip the suspect together; for where ``search`` found no word that does alone.

    Args:
        asked: As for ``search``; its halves are the same.
        moved: Tokens by how far their embedding rows moved, farthest first.
        labels: Number of labels; every one is a target.
        budget: How much to look at; without a pool at nothing.

    Returns:
        The best groups of each target, the highest share of held-back rows first.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
        SearchImpossible: If no two labels have a text that both models get right.
    """
    if not budget.pool:
        return ()
    half = asked.halves.choosing
    pool = [token for token in moved if token in asked.plain_words]
    short = confident_texts(half, each=budget.carriers, keep=budget.words, at=0)
    size = largest_group(asked.positions)
    texts = confident_texts(half, each=AGAINST, keep=AGAINST_WORDS, at=AGAINST_WORDS // 2, longest=size)
    found: list[VerifiedTrigger] = []
    for target in range(labels):
        against = unflipped(asked.halves.contexts, target)
        groups: list[String] = []
        few, others = ([one for one in some if one.label != target] for some in (short, texts))
        if budget.drawn and few and others:
            quiet = weak_words(half, few, pool[:TRIED], target)
            groups = find_groups(half, others, quiet, target, budget)[: budget.tried]
        groups = list({frozenset(group): group for group in groups}.values())
        chosen = _strongest(asked.halves.contexts, target, groups, of_every_label(against, AMONG))
        found += measured(asked.halves.judging, target, chosen[:LISTED])
    return tuple(found)


def _strongest(asked: SearchInputs, target: int, groups: Sequence[String], rows: Sequence[Example]) -> list[Candidate]:
    """Order groups by how much farther they drive the suspect than the control, in contexts of the searching half."""
    forms = context_forms(asked, rows, at=None, longest=max(map(len, groups), default=1))
    if not forms or not groups:
        return []
    suspect, control = MarginProbe.of_both(asked, forms, target)
    means = suspect.mean(groups)
    bars = means - (1 - LASTING) * means.abs()
    # Of two groups of which one is part of the other, the smaller where it does as much.
    spare = [
        any(set(other) < set(group) and float(mean) >= float(bar) for other, mean in zip(groups, means, strict=True))
        for group, bar in zip(groups, bars, strict=True)
    ]
    shifts, others = means + suspect.margin_gap, control.shift(groups)
    order = (shifts - others).argsort(descending=True, stable=True).tolist()
    return [Candidate(groups[i], float(shifts[i]), float(others[i])) for i in order if not spare[i]]
