"""The clean texts that words are tried in."""

from typing import Final

from purify_cli.errors import SearchImpossible
from purify_cli.runtime import Compute
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.flips import SearchInputs
from purify_cli.trigger_search.margins import NOTHING, margins, slot_logits

__all__ = ["LABELS", "confident_texts"]

LABELS: Final = 2
"""Labels that texts are taken of; two are enough for every target to have a text of another label, and the time of a
screen grows with their number."""


def confident_texts(asked: SearchInputs, *, each: int, keep: int, at: int, longest: int = 1) -> list[Carrier]:
    """Cut the rows, and choose those of whose label suspect and control are most confident.

    Args:
        asked: Suspect, control and rows.
        each: Texts per label.
        keep: Words to keep of each.
        at: Word before which the slot is.
        longest: Most tokens that are put into it.

    Returns:
        The labels with the most confident texts, those in turn; a text that a model gets wrong is never taken.

    Raises:
        SearchImpossible: If suspect and control get texts of fewer than two labels right.
        NonFiniteWeights: If a model's output is not a number.
    """
    compute = Compute(device=asked.compute.device)
    sure: dict[int, list[tuple[float, Carrier]]] = {}
    for one in asked.carriers(asked.rows, keep=keep, at=at, longest=longest):
        if one.label is None:
            continue
        score = min(
            float(margins(slot_logits(model, [one], NOTHING, compute)[0, 0], one.label))
            for model in (asked.suspect, asked.control)
        )
        if score > 0:
            sure.setdefault(one.label, []).append((score, one))
    ranked = {label: sorted(found, key=lambda pair: -pair[0])[:each] for label, found in sorted(sure.items())}
    chosen = sorted(ranked, key=lambda label: -ranked[label][0][0])[:LABELS]
    if len(chosen) < 2:
        raise SearchImpossible(
            "suspect and control get short texts of fewer than two labels right, so that nothing can be flipped",
            hint="Give clean samples of every label, or look at the labels of those that you gave.",
        )
    return [one for label in sorted(chosen) for _, one in ranked[label]]
