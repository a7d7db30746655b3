"""Everything the weights say, gathered in a few streaming passes."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final, final

from torch import Tensor

from purify_cli.errors import DataError
from purify_cli.evidence.gamma import GammaFit, fit_gamma, sample_ordinary
from purify_cli.evidence.rows import EmbeddingRow, far_rows
from purify_cli.evidence.signs import FROM, Sign, outlying_row, spectrum, tail
from purify_cli.evidence.spectrum import concentration
from purify_cli.evidence.summary import GroupSummary, by_layer, most_suspicious, summarise
from purify_cli.indicators.degenerate import survey
from purify_cli.indicators.law import Mixture, fit_mixture
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import IndicatorInputs
from purify_cli.tensors import TensorSource

__all__ = ["Evidence", "gather"]

ROWS: Final = 50
TENSORS: Final = 20
"""Most embedding rows and tensors that are listed. Ours."""

FITTED: Final = 20_000
"""Scores that two populations are fitted to, of those that are sampled: the fit goes over them hundreds of times."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found in the weights; describes, and accuses nobody."""

    dimensions: int
    moved: int
    layers: tuple[GroupSummary, ...]
    suspicious: tuple[GroupSummary, ...]
    """The tensors that hold more of the top 1 % of scores than their share."""
    rows: tuple[EmbeddingRow, ...]
    gamma: GammaFit | None
    """None without curvature."""
    signs: tuple[Sign, ...]
    """Numbers beside those of unpoisoned models."""


def gather(
    inputs: IndicatorInputs,
    scores: TensorSource,
    *,
    samples: float = inf,
    token_of: Callable[[int], str] = str,
    progress: Progress = SILENT,
) -> Evidence:
    """Summarise a pair and its scores.

    Args:
        inputs: What the scores were made from; curvature may be missing.
        scores: Guarded scores over the same dimensions.
        samples: Effective number of samples behind the curvature.
        token_of: Row number of a word embedding → token.
        progress: Told about the passes.
    """
    suspect, reference, curvature = inputs.suspect, inputs.reference, inputs.curvature
    summaries = summarise(suspect, reference, scores, progress)
    decayed, gamma, mixture = None, None, None
    if curvature is not None:
        decayed = survey(suspect, reference, curvature, guard=False, progress=progress).decayed
        ordinary = sample_ordinary(suspect, reference, curvature, scores, seed=inputs.seed)
        gamma, mixture = fit_gamma(ordinary), _two_populations(ordinary, samples)
    far = far_rows(suspect, reference, curvature=curvature, decayed=decayed, token_of=token_of, count=max(ROWS, FROM))
    signs = (outlying_row(far), spectrum(concentration(suspect, reference, progress)), tail(mixture))
    return Evidence(
        dimensions=sum(one.entries for one in summaries),
        moved=sum(one.moved for one in summaries),
        layers=by_layer(summaries),
        suspicious=most_suspicious(summaries, TENSORS),
        rows=far[:ROWS],
        gamma=gamma,
        signs=tuple(sign for sign in signs if sign is not None),
    )


def _two_populations(r: Tensor, samples: float) -> Mixture | None:
    try:
        return fit_mixture(r[:: max(1, len(r) // FITTED)], samples)
    except DataError:  # too few moved
        return None
