"""E-PUR's score of word-embedding rows as an indicator: every entry of a row gets the row's score, all else 0.

The maths is in ``row_drift``; the method ``e-pur`` uses the same and resets whole rows.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from purify_cli.checkpoint.layout import resolve
from purify_cli.errors import UsageError
from purify_cli.indicators.frequencies import check_frequencies, piece_counts, word_counts
from purify_cli.indicators.row_drift import score_rows, word_embeddings
from purify_cli.indicators.scores import Scores, score_specs, to_scores
from purify_cli.model.tokenizer import load_tokenizer
from purify_cli.progress import Progress
from purify_cli.protocols import Indicator, IndicatorInputs

__all__ = ["EMBEDDING_ROWS"]


def _check(settings: Mapping[str, Any]) -> None:
    if settings["floor"] < 2:
        raise UsageError(f"floor={settings['floor']} is not 2 or more", hint="20 is the published floor.")
    if settings["frequencies"] != "none":
        check_frequencies(settings["frequencies"])
        if not settings["tokenizer"]:
            raise UsageError(
                "frequencies are those of words, and nothing says which rows a word has",
                hint="Give --set tokenizer=REFERENCE as well.",
            )


def _score(inputs: IndicatorInputs, settings: Mapping[str, Any], progress: Progress) -> Scores:
    """Score all rows."""
    counts = None
    if settings["frequencies"] != "none":
        tokenizer = load_tokenizer(resolve(settings["tokenizer"]))
        rows = max((spec.shape[0] for spec in word_embeddings(inputs.suspect).values()), default=0)
        counts = piece_counts(word_counts(settings["frequencies"]), tokenizer, rows)
    found = score_rows(
        inputs.suspect,
        inputs.reference,
        counts=counts,
        floor=float(settings["floor"]),
        curvature=inputs.curvature,
        progress=progress,
    )
    specs = score_specs(inputs.suspect)

    def chunk(name: str, start: int, stop: int) -> Tensor:
        if name not in found.scores:
            return torch.zeros(stop - start)
        row = torch.arange(start, stop).div_(specs[name].shape[1], rounding_mode="floor")
        return to_scores(found.scores[name][row])

    return Scores(specs, chunk, {"weight decay alone": found.decayed.entries})


EMBEDDING_ROWS: Final = Indicator(
    name="embedding-rows",
    score=_score,
    defaults={"floor": 20, "frequencies": "none", "tokenizer": ""},
    check_values=_check,
)
"""Drift of word-embedding rows over the logarithm of their words' frequencies.

Settings:
    floor: Rarer words count as this often; 2 or more.
    frequencies: ``none`` (all words are rare: the drift alone ranks), ``wordfreq``, or a file of words and counts.
    tokenizer: Folder, alias or hub id whose tokenizer cuts the words; needed for any frequencies but ``none``.
"""
