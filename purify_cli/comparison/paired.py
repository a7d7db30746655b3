"""Facts about two models that answered the same rows."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from purify_cli.comparison.table import Spread
from purify_cli.evaluation import Measurement, Question, Triggered
from purify_cli.measures import Difference, Proportion, paired_difference

__all__ = ["bias_outcomes", "outcomes", "paired", "spread", "success_outcomes"]


def outcomes(measured: Measurement, question: Question) -> dict[int, bool]:
    """Place of a row → whether it is recognised without the trigger."""
    return {row.index: measured.predictions[row.index] == row.label for row in question.clean}


def success_outcomes(predictions: Mapping[int, int], question: Question) -> dict[int, bool]:
    """Place of a row of another class → whether the trigger made it the target."""
    others = (row.index for row in question.triggered if row.label != question.target)
    return {place: predictions[place] == question.target for place in others}


def bias_outcomes(predictions: Mapping[int, int], question: Question) -> dict[int, bool]:
    """Place of a row that carries the pattern → whether it is recognised."""
    return {row.index: predictions[row.index] == row.label for row in question.triggered}


def paired(first: Mapping[int, bool], second: Mapping[int, bool], *, against: str, seed: int) -> Difference | None:
    """Compare outcomes on the rows that both have; None if there is none.

    Two tokenizers can cut the trigger off different rows; all others are common.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        return None
    one, other = (np.array([outcomes[place] for place in common]) for outcomes in (first, second))
    return paired_difference(one, other, against=against, seed=seed)


def spread(
    seeds: Sequence[int], first: Measurement, others: Sequence[Triggered]
) -> tuple[Spread | None, Spread | None]:
    """Sum up attack success and bias accuracy over seeds of the trigger's positions; None where there is no such share.

    Args:
        seeds: The first belongs to ``first``, the rest to ``others``.
        first: The measurement that is reported.
        others: What the same model did under the other seeds; empty where only one was asked for.
    """
    if not others:
        return None, None
    success = [first.attack_success, *(one.attack_success for one in others)]
    bias = [first.bias_accuracy, *(one.bias_accuracy for one in others)]
    return _spread(seeds, success), _spread(seeds, bias)


def _spread(seeds: Sequence[int], shares: Sequence[Proportion | None]) -> Spread | None:
    values = [share.value for share in shares if share is not None]
    if len(values) != len(seeds):
        return None
    return Spread(seeds=tuple(seeds), values=tuple(values), mean=fmean(values), low=min(values), high=max(values))
