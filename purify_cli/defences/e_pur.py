"""E-PUR: the rows of the word embedding that moved too far for how often their word occurs go back to the reference.

Zhang, Lyu, Ma, Wang, Sun: "Fine-mixing: Mitigating Backdoors in Fine-tuned Language Models", Findings of EMNLP 2022,
arXiv:2210.09545, where it comes before mixing. The score is in ``purify_cli.indicators.row_drift``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from torch import Tensor

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.errors import PairError, UsageError
from purify_cli.indicators.frequencies import CORPUS, WORDFREQ, check_frequencies, piece_counts, word_counts
from purify_cli.indicators.row_drift import RowScores, score_rows, word_embeddings
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import WeightDefenceInputs, WeightEdit, merged
from purify_cli.tensors import Combined, TensorSource

__all__ = ["E_PUR", "EPur", "ScoredRows"]

_SHOWN: Final = 20
"""Rows that the record names."""


def _with_reset_rows(base: TensorSource, pair: CheckpointPair, rows: Mapping[str, list[int]]) -> TensorSource:
    """Return a source in which some rows of some matrices are the reference's.

    Args:
        base: All tensors.
        pair: Gives the reference's rows.
        rows: Tensor name → rows, ascending; a second copy of a tied tensor has the rows of the first.
    """
    reference = pair.reference_part

    def reset(name: str, start: int, values: Tensor) -> Tensor:
        source = pair.tied.get(name, name)
        length = base.specs[name].shape[1] if source in rows else 1
        for row in rows.get(source, ()):
            first, last = max(row * length, start), min((row + 1) * length, start + len(values))
            if first < last:
                values[first - start : last - start] = reference.read(source, first, last).to(values.dtype)
        return values

    return Combined(reset, (base,), base.specs)


@final
@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Rows in the order of their scores."""

    pair: CheckpointPair
    base: TensorSource
    scores: RowScores
    rows: int
    frequencies: str
    token_of: Callable[[int], str]

    def weights(self, ratio: float | None) -> WeightEdit:
        """Reset the highest rows; a ratio has no meaning here."""
        del ratio
        chosen = self.scores.top(self.rows)
        rows: dict[str, list[int]] = {name: [] for name in self.scores.scores}
        for name, row, _ in sorted(chosen):
            rows[name].append(row)
        return WeightEdit(
            weights=_with_reset_rows(self.base, self.pair, rows),
            per_tensor={name: len(found) * self.pair.suspect.specs[name].shape[1] for name, found in rows.items()},
            facts={
                "rows": len(chosen),
                "rows that moved": sum(score > 0 for _, _, score in chosen),
                "decayed rows": sum(int(marked.sum()) for marked in self.scores.decayed.rows.values()),
                "frequencies": self.frequencies,
                "first": [
                    {"tensor": name, "row": row, "token": self.token_of(row), "score": score}
                    for name, row, score in chosen[:_SHOWN]
                ],
            },
        )


@final
class EPur:
    """Reset of the word-embedding rows with the highest score.

    Settings:
        rows: How many.
        floor: Rarer words count as this often; 2 or more.
        frequencies: ``wordfreq``, or a file of words and counts.
    """

    ratio: float | None = None
    defaults: Mapping[str, Any] = {"rows": 200, "floor": 20, "frequencies": WORDFREQ}

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults.

        Raises:
            UsageError: If a setting is unknown or out of range, or frequencies cannot be had.
        """
        chosen = merged("e-pur", self.defaults, settings, kind="method")
        if chosen["rows"] < 1:
            raise UsageError(f"rows={chosen['rows']} resets nothing", hint="200 is the published number.")
        if chosen["floor"] < 2:
            raise UsageError(f"floor={chosen['floor']} is not 2 or more", hint="20 is the published floor.")
        check_frequencies(chosen["frequencies"])
        return chosen

    def prepare(self, inputs: WeightDefenceInputs, progress: Progress = SILENT) -> ScoredRows:
        """Score every row of the suspect as it was given, whatever an earlier stage did to it.

        Raises:
            UsageError: If a setting is unknown or out of range, or frequencies cannot be had.
            DataError: If the file of frequencies cannot be used.
            PairError: If there is no word embedding to compare.
        """
        settings = self.check(inputs.settings)
        pair: CheckpointPair = inputs.pair
        tables = word_embeddings(pair.suspect_part)
        if not tables:
            raise PairError(
                "suspect and reference have no word embedding in common, and e-pur resets its rows",
                hint="Use another --method; fine-purifying and fine-mixing treat all tensors alike.",
            )
        source = str(settings["frequencies"])
        progress.note(f"e-pur: word frequencies from {source}")
        rows = max(spec.shape[0] for spec in tables.values())
        counts = piece_counts(word_counts(source), inputs.tokenizer, rows)
        scores = score_rows(
            pair.suspect_part, pair.reference_part, counts=counts, floor=float(settings["floor"]), progress=progress
        )
        stated = f"{source}, English, as counts in {CORPUS} words" if source == WORDFREQ else source
        return ScoredRows(pair, inputs.weights, scores, settings["rows"], stated, _token_of(inputs.tokenizer))


def _token_of(tokenizer: Tokenizer) -> Callable[[int], str]:
    convert: Any = getattr(tokenizer, "convert_ids_to_tokens", None)
    return str if convert is None else lambda row: str(convert(row))


E_PUR: Final = EPur()
