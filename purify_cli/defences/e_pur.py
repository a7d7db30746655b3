"""E-PUR: the rows of the word embedding that moved too far for how often their word occurs go back to the reference.

Zhang, Lyu, Ma, Wang, Sun: "Fine-mixing: Mitigating Backdoors in Fine-tuned Language Models", Findings of EMNLP 2022,
arXiv:2210.09545, where it comes before mixing. The score is in ``purify_cli.indicators.row_drift``.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from torch import Tensor

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.errors import PairError, UsageError
from purify_cli.indicators.frequencies import CORPUS, WORDFREQ, check_frequencies, piece_counts, word_counts
from purify_cli.indicators.row_drift import RowScores, score_rows, word_embeddings
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import WeightDefence, WeightDefenceInputs, WeightEdit
from purify_cli.tensors import Computed, TensorSource

__all__ = ["E_PUR", "score_embeddings"]

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

    def reset(name: str, start: int, stop: int) -> Tensor:
        source, values = pair.tied.get(name, name), base.read(name, start, stop)
        length = base.specs[name].shape[1] if source in rows else 1
        for row in rows.get(source, ()):
            first, last = max(row * length, start), min((row + 1) * length, stop)
            if first < last:
                values[first - start : last - start] = reference.read(source, first, last).to(values.dtype)
        return values

    return Computed(base.specs, reset)


def score_embeddings(inputs: WeightDefenceInputs, progress: Progress = SILENT) -> RowScores:
    """Score every row of the suspect as it was given, whatever an earlier stage did to it.

    Raises:
        DataError: If the file of frequencies cannot be used.
        PairError: If there is no word embedding to compare.
    """
    pair: CheckpointPair = inputs.pair
    tables = word_embeddings(pair.suspect_part)
    if not tables:
        raise PairError(
            "suspect and reference have no word embedding in common, and e-pur resets its rows",
            hint="Use another --method; fine-purifying and fine-mixing treat all tensors alike.",
        )
    source = inputs.settings["frequencies"]
    progress.note(f"e-pur: word frequencies from {source}")
    counts = piece_counts(word_counts(source), inputs.tokenizer, max(spec.shape[0] for spec in tables.values()))
    floor = float(inputs.settings["floor"])
    return score_rows(pair.suspect_part, pair.reference_part, counts=counts, floor=floor, progress=progress)


def _prepare(inputs: WeightDefenceInputs, progress: Progress) -> Callable[[float | None], WeightEdit]:
    """Reset the rows with the highest scores; a ratio has no meaning here."""
    scores, pair, source = score_embeddings(inputs, progress), inputs.pair, inputs.settings["frequencies"]
    chosen = scores.top(inputs.settings["rows"])
    rows: dict[str, list[int]] = {name: [] for name in scores.scores}
    for name, row, _ in sorted(chosen):
        rows[name].append(row)
    token_of = _token_of(inputs.tokenizer)
    edit = WeightEdit(
        weights=_with_reset_rows(inputs.weights, pair, rows),
        per_tensor={name: len(found) * pair.suspect.specs[name].shape[1] for name, found in rows.items()},
        facts={
            "rows": len(chosen),
            "rows that moved": sum(score > 0 for _, _, score in chosen),
            "decayed rows": sum(int(marked.sum()) for marked in scores.decayed.rows.values()),
            "frequencies": f"{source}, English, as counts in {CORPUS} words" if source == WORDFREQ else source,
            "first": [
                {"tensor": name, "row": row, "token": token_of(row), "score": score}
                for name, row, score in chosen[:_SHOWN]
            ],
        },
    )
    return lambda _: edit


def _token_of(tokenizer: Tokenizer) -> Callable[[int], str]:
    convert: Any = getattr(tokenizer, "convert_ids_to_tokens", None)
    return str if convert is None else lambda row: str(convert(row))


def _check(settings: Mapping[str, Any]) -> None:
    if settings["rows"] < 1:
        raise UsageError(f"rows={settings['rows']} resets nothing", hint="200 is the published number.")
    if settings["floor"] < 2:
        raise UsageError(f"floor={settings['floor']} is not 2 or more", hint="20 is the published floor.")
    check_frequencies(settings["frequencies"])


E_PUR: Final = WeightDefence(
    name="e-pur",
    prepare=_prepare,
    defaults={"rows": 200, "floor": 20, "frequencies": WORDFREQ},
    check_values=_check,
)
"""Reset of the word-embedding rows with the highest score.

Settings:
    rows: How many.
    floor: Rarer words count as this often; 2 or more.
    frequencies: ``wordfreq``, or a file of words and counts.
"""
