"""Numbers of the weights that a backdoor might show in, each beside what unpoisoned models have.

They describe. A suspect that exceeds all unpoisoned models there are numbers of is odd for a model of that kind;
another architecture, optimiser or amount of data is odd as well.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import fmean
from typing import Final, Literal, Self, final

from purify_cli.evidence.rows import EmbeddingRow
from purify_cli.indicators.law import Mixture

__all__ = ["Sign", "outlying_row", "spectrum", "tail"]

FROM: Final = 20
"""The row that the farthest one is held against; an attack that plants a word or three moves fewer."""


@final
@dataclass(frozen=True, slots=True)
class Sign:
    """A number of the weights beside what it comes to in unpoisoned models: small ones of one architecture."""

    name: Literal["row", "spectrum", "tail"]
    value: float
    sentence: str
    clean_models: int
    """The unpoisoned models of the census (docs/detection.md)."""
    clean_reaching: int
    """Of them, those with a value as large."""
    clean_low: float
    clean_high: float

    @classmethod
    def of(cls, name: Literal["row", "spectrum", "tail"], value: float, sentence: str) -> Self:
        """Put a number beside those of the unpoisoned models."""
        clean = _clean()[name]
        reaching = sum(one >= value for one in clean)
        return cls(name, value, sentence, len(clean), reaching, clean_low=clean[0], clean_high=clean[-1])


@cache
def _clean() -> Mapping[str, tuple[float, ...]]:
    """Read what the census wrote, ascending."""
    text = files("purify_cli.evidence").joinpath("clean.json").read_text(encoding="utf-8")
    return {name: tuple(values) for name, values in json.loads(text).items()}


def outlying_row(rows: Sequence[EmbeddingRow]) -> Sign | None:
    """Hold the farthest row of the word embedding against the twentieth farthest.

    Args:
        rows: As ``far_rows`` gives them, at least 20 for an answer.
    """
    if len(rows) < FROM:
        return None
    first = rows[0]
    value = first.drift_norm / rows[FROM - 1].drift_norm
    sentence = f"the embedding row of {first.token!r} moved {value:.1f} times as far as that of the 20th farthest"
    return Sign.of("row", value, sentence)


def spectrum(shares: Mapping[str, float]) -> Sign | None:
    """Average the share of drift that lies in one direction.

    Args:
        shares: As ``concentration`` gives them.
    """
    if not shares:
        return None
    value, top = fmean(shares.values()), max(shares, key=lambda name: shares[name])
    sentence = (
        f"{value:.0%} of a matrix's drift lies in a single direction on average, most in {top} ({shares[top]:.0%})"
    )
    return Sign.of("spectrum", value, sentence)


def tail(mixture: Mixture | None) -> Sign | None:
    """Say by how much two populations of δ²/Ĥ explain it better than one.

    The gain decides, never the ratio of the two scales: a split sample always has two means.
    """
    if mixture is None:
        return None
    ratio = mixture.poison_scale / mixture.clean_scale
    sentence = (
        f"two populations explain drift²/curvature better than one by {mixture.gain:.2f} nats per dimension: "
        f"{1 - mixture.clean_share:.1%} of the dimensions would be of a scale {ratio:.0f} times as large"
    )
    return Sign.of("tail", mixture.gain, sentence)
