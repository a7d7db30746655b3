"""The clean texts that words are tried in."""

from dataclasses import replace
from typing import Final

import torch

from purify_cli.data.batches import Encoded
from purify_cli.errors import SearchImpossible
from purify_cli.evaluation.forward import scores
from purify_cli.trigger_search.carriers import Carrier
from purify_cli.trigger_search.inputs import SearchInputs
from purify_cli.trigger_search.margins import margins

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
    compute = replace(asked.compute, dtype=torch.float32)
    carriers = [one for one in asked.carriers(asked.rows, keep=keep, at=at, longest=longest) if one.label is not None]
    rows = [Encoded(one.ids, one.type_ids, one.label, place) for place, one in enumerate(carriers)]
    found = [scores(module, rows, compute, pad_id=asked.pad_id) for module in (asked.suspect, asked.control)]
    sure: dict[int, list[tuple[float, Carrier]]] = {}
    for one, own, other in zip(carriers, *found, strict=True):
        label = one.label or 0
        score = min(float(margins(own, label)), float(margins(other, label)))
        if score > 0:
            sure.setdefault(label, []).append((score, one))
    ranked = {label: sorted(found, key=lambda pair: -pair[0])[:each] for label, found in sorted(sure.items())}
    chosen = sorted(ranked, key=lambda label: -ranked[label][0][0])[:LABELS]
    if len(chosen) < 2:
        raise SearchImpossible(
            "suspect and control get short texts of fewer than two labels right, so that nothing can be flipped",
            hint="Give clean samples of every label, or look at the labels of those that you gave.",
        )
    return [one for label in sorted(chosen) for _, one in ranked[label]]
