"""The clean texts that words are tried in."""

from collections.abc import Sequence

from purify_cli.errors import SearchImpossible
from purify_cli.runtime import Compute
from purify_cli.trigger_search.budget import SearchBudget
from purify_cli.trigger_search.carriers import Carrier, carrier
from purify_cli.trigger_search.flips import SearchContext
from purify_cli.trigger_search.screen import most_confident

__all__ = ["carriers", "short_texts"]


def short_texts(asked: SearchContext, words: Sequence[int], budget: SearchBudget) -> list[Carrier]:
    """Return the texts that words are tried in one by one, at their start; as ``carriers``."""
    return carriers(asked, words, each=budget.carriers, keep=budget.words, at=0)


def carriers(asked: SearchContext, words: Sequence[int], *, each: int, keep: int, at: int) -> list[Carrier]:
    """Cut the rows that both models are most confident of.

    Args:
        asked: Suspect, control and rows.
        words: ``whole_words``.
        each: Texts per label, of two labels.
        keep: Words to keep of each.
        at: Word before which the slot is.

    Raises:
        SearchImpossible: If suspect and control get texts of fewer than two labels right.
    """
    probes = (words[0], words[-1])
    cut = [
        one
        for row in asked.rows
        if (one := carrier(asked.tokenizer, row, probes, words=keep, at=at, max_length=asked.compute.max_length))
    ]
    compute = Compute(device=asked.compute.device)
    chosen = most_confident(cut, (asked.suspect, asked.control), each=each, labels=2, compute=compute)
    if len({one.label for one in chosen}) < 2:
        raise SearchImpossible(
            "suspect and control get short texts of fewer than two labels right, so that nothing can be flipped",
            hint="Give clean samples of every label, or look at the labels of those that you gave.",
        )
    return chosen
