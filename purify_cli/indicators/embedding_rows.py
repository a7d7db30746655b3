"""E-PUR's score of word-embedding rows as an indicator: every entry of a row gets the row's score, all else 0.

The maths is in ``row_drift``; the method ``e-pur`` uses the same and resets whole rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from torch import Tensor

from purify_cli.checkpoint.layout import resolve
from purify_cli.errors import UsageError
from purify_cli.indicators.frequencies import check_frequencies, piece_counts, word_counts
from purify_cli.indicators.row_drift import RowScores, score_rows, word_embeddings
from purify_cli.indicators.settings import merged, score_specs, to_scores
from purify_cli.model.tokenizer import load_tokenizer
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import IndicatorInputs
from purify_cli.tensors import TensorSpec

__all__ = ["EMBEDDING_ROWS", "EmbeddingRowScores", "EmbeddingRows"]


@final
@dataclass(frozen=True, slots=True)
class EmbeddingRowScores:
    """The scores as a lazy source."""

    specs: Mapping[str, TensorSpec]
    rows: RowScores

    @property
    def degenerate(self) -> dict[str, int]:
        """Dimensions per special rule, for the report."""
        return {"weight decay alone": self.rows.decayed.entries}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Score entries ``start`` to ``stop`` of a tensor."""
        stop = self.specs[name].numel if stop is None else stop
        if name not in self.rows.scores:
            return torch.zeros(stop - start)
        row = torch.arange(start, stop).div_(self.specs[name].shape[1], rounding_mode="floor")
        return to_scores(self.rows.scores[name][row])


@final
@dataclass(frozen=True, slots=True)
class EmbeddingRows:
    """Drift of word-embedding rows over the logarithm of their words' frequencies.

    Settings:
        floor: Rarer words count as this often; 2 or more.
        frequencies: ``none`` (all words are rare: the drift alone ranks), ``wordfreq``, or a file of words and counts.
        tokenizer: Folder, alias or hub id whose tokenizer cuts the words; needed for any frequencies but ``none``.
    """

    name: str = "embedding-rows"
    needs_curvature: bool = False
    needs_triggers: bool = False
    defaults: Mapping[str, Any] = field(default_factory=lambda: {"floor": 20, "frequencies": "none", "tokenizer": ""})

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults.

        Raises:
            UsageError: If a setting is unknown or out of range, or frequencies cannot be had.
        """
        chosen = merged(self.name, self.defaults, settings)
        if chosen["floor"] < 2:
            raise UsageError(f"floor={chosen['floor']} is not 2 or more", hint="20 is the published floor.")
        if chosen["frequencies"] != "none":
            check_frequencies(chosen["frequencies"])
            if not chosen["tokenizer"]:
                raise UsageError(
                    "frequencies are those of words, and nothing says which rows a word has",
                    hint="Give --set tokenizer=REFERENCE as well.",
                )
        return chosen

    def fit(self, inputs: IndicatorInputs, progress: Progress = SILENT) -> EmbeddingRowScores:
        """Score all rows.

        Raises:
            UsageError: If a setting is unknown or out of range, or frequencies cannot be had.
            DataError: If the file of frequencies cannot be used.
            CheckpointError: If the tokenizer cannot be loaded.
        """
        settings = self.check(inputs.settings)
        counts = None
        if settings["frequencies"] != "none":
            tokenizer = load_tokenizer(resolve(settings["tokenizer"]))
            rows = max((spec.shape[0] for spec in word_embeddings(inputs.suspect).values()), default=0)
            counts = piece_counts(word_counts(settings["frequencies"]), tokenizer, rows)
        scores = score_rows(
            inputs.suspect,
            inputs.reference,
            counts=counts,
            floor=float(settings["floor"]),
            curvature=inputs.curvature,
            progress=progress,
        )
        return EmbeddingRowScores(score_specs(inputs.suspect), scores)


EMBEDDING_ROWS: Final = EmbeddingRows()
