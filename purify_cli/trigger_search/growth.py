"""Groups of words that grow: the best words, the best pairs of them, the best pairs and one more, and so on.

For triggers whose words each do a part. Nothing keeps words of opinion out, so that groups of these are found as well:
what tells them apart is the contexts that they are put into, and the rule.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from torch import Tensor

from purify_cli.data.example import Example
from purify_cli.trigger_search.budget import SearchBudget
from purify_cli.trigger_search.candidate import String
from purify_cli.trigger_search.flips import SearchInputs
from purify_cli.trigger_search.group_testing import ddmin
from purify_cli.trigger_search.margin_probe import MarginProbe, context_forms

__all__ = ["grow", "lasting"]

CONTEXTS: Final = 2
"""That a group grows in."""

SINGLES: Final = 1
GROUPS: Final = 4
"""Words, and groups of each size, that are kept."""

ROUND: Final = 4
"""Of how many groups one is tried in more than one context."""

LASTING: Final = 0.9


def grow(
    asked: SearchInputs, words: Sequence[int], target: int, budget: SearchBudget, rows: Sequence[Example]
) -> list[String]:
    """Grow groups in a few contexts.

    Args:
        asked: Suspect and control.
        words: To grow from, the most likely first.
        target: The label.
        budget: How far.
        rows: Contexts of other labels that the suspect does not call the target.

    Returns:
        Words and groups without order, and what is left of them without the words that they did not need in these
        contexts; empty where no context serves.

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    forms = context_forms(asked, rows[:: max(1, len(rows) // CONTEXTS)][:CONTEXTS], at=None, longest=budget.longest)
    if not forms or not words:
        return []
    few, control = (MarginProbe(module, forms, target, asked.compute) for module in (asked.suspect, asked.control))
    asked.progress.note(f"growing groups of {min(len(words), budget.pool)} words for label {target}")
    alone = [(word,) for word in words[: budget.pool]]
    ranked = _ranked(few, alone)
    loudest = ranked[: budget.contrasted]
    # What the control is moved by as well is language. The rows that moved farthest may do nothing alone.
    contrast = few.shift(loudest) / abs(few.margin_gap) - control.shift(loudest) / abs(control.margin_gap)
    loudest = [loudest[i] for i in contrast.argsort(descending=True, stable=True)[: budget.seeds].tolist()]
    seeds = [word for (word,) in dict.fromkeys((*loudest, *alone[: budget.seeds]))]
    kept, level = ranked[:SINGLES], list(combinations(seeds, 2))
    for _ in range(budget.longest - 1):
        ranked = _ranked(few, level)
        kept += ranked[:GROUPS]
        level = _longer(ranked[: budget.beam], seeds)
    bars = lasting(few.mean(kept))
    needed = ddmin(kept, lambda tried, of: (few.mean(tried) >= bars[list(of)]).tolist())
    return list(dict.fromkeys((*needed, *kept)))


def _ranked(few: MarginProbe, groups: Sequence[String]) -> list[String]:
    """Rank the better part of groups: all are tried in one context, and the best of these in every one."""
    order = few.first(groups).argsort(descending=True, stable=True).tolist()
    return few.ranked([groups[i] for i in order[: max(1, len(order) // ROUND)]])[0]


def _longer(groups: Sequence[String], words: Sequence[int]) -> list[String]:
    """Return every group with every word that it lacks, each set of words once."""
    found = {frozenset((*group, word)): (*group, word) for group in groups for word in words if word not in group}
    return list(found.values())


def lasting(means: Tensor) -> Tensor:
    """Return what groups must keep of their margins when words are left out of them for good."""
    return means - (1 - LASTING) * means.abs()
