"""Drift and scores per tensor and per layer, in one pass."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, final

import torch

from purify_cli.checkpoint.names import canonical
from purify_cli.drift import drift
from purify_cli.progress import SILENT, Progress
from purify_cli.selection.threshold import find_threshold, selected
from purify_cli.tensors import CHUNK, TensorSource, TensorSpec, total_entries

__all__ = ["TOP_SHARE", "GroupSummary", "by_layer", "layer_of", "most_suspicious", "summarise"]

TOP_SHARE: Final = 0.01
"""The top of the ranking that summaries look at: the 1 % of the literature's H@1 %."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """One tensor, or all tensors of one layer."""

    name: str
    layer: str
    entries: int
    moved: int
    """Entries whose drift is not exactly 0."""
    drift_norm: float
    """‖δ‖₂."""
    reference_norm: float
    """‖w0‖₂."""
    max_drift: float
    """Largest |δ|."""
    ordinary: int
    """Entries with an ordinary score: those not of the class before all others."""
    mean_score: float
    """Mean of the ordinary scores; entries of the class before all others are left out."""
    top_count: int
    """Entries among the top 1 % of all scores."""

    @property
    def relative_drift(self) -> float | None:
        """Norm of the drift over norm of the reference, None for a reference of zeros."""
        return self.drift_norm / self.reference_norm if self.reference_norm else None

    @property
    def top_share(self) -> float:
        """Share of these entries that are among the top 1 % of all scores: 0.01 where nothing is special."""
        return self.top_count / self.entries


def summarise(
    suspect: TensorSource, reference: TensorSource, scores: TensorSource, progress: Progress = SILENT
) -> tuple[GroupSummary, ...]:
    """Summarise every comparable tensor.

    Args:
        suspect: Comparable dimensions.
        reference: The same, cast to the suspect's types.
        scores: The same names and shapes, in the encoding of ``Indicator``; read twice.
        progress: Told about both passes.

    Returns:
        One summary per tensor, in the suspect's order.
    """
    total = total_entries(scores)
    threshold = find_threshold(scores, max(1, round(TOP_SHARE * total)), progress=progress)
    moves = drift(suspect, reference)
    found: list[GroupSummary] = []
    for name in progress.track(suspect.specs, "summarising drift", total=len(suspect.specs)):
        spec = suspect.specs[name]
        if not spec.numel:
            continue
        sums = _Sums()
        for start in range(0, spec.numel, CHUNK):
            stop = min(start + CHUNK, spec.numel)
            score = scores.read(name, start, stop)
            sums.top += int(selected(threshold, name, start, score).sum())
            sums.add(moves.read(name, start, stop), reference.read(name, start, stop), score)
        found.append(sums.summary(spec))
    return tuple(found)


@final
class _Sums:
    def __init__(self) -> None:
        self.moved = self.top = self.ordinary = 0
        self.drift = self.reference = self.largest = self.score = 0.0

    def add(self, delta: torch.Tensor, reference: torch.Tensor, score: torch.Tensor) -> None:
        self.moved += int(torch.count_nonzero(delta))
        self.drift += float(delta.double().square_().sum())
        self.reference += float(reference.double().square_().sum())
        self.largest = max(self.largest, float(delta.abs_().max()))
        ordinary = score[score >= 0]
        self.ordinary += len(ordinary)
        self.score += float(ordinary.sum(dtype=torch.float64))

    def summary(self, spec: TensorSpec) -> GroupSummary:
        return GroupSummary(
            name=spec.name,
            layer=layer_of(spec.name),
            entries=spec.numel,
            moved=self.moved,
            drift_norm=sqrt(self.drift),
            reference_norm=sqrt(self.reference),
            max_drift=self.largest,
            ordinary=self.ordinary,
            mean_score=self.score / max(self.ordinary, 1),
            top_count=self.top,
        )


def layer_of(name: str) -> str:
    """Name the layer of a tensor: the numbered block it is in, else ``embeddings``, else its first component.

    ``bert.encoder.layer.3.attention.self.key.weight`` is in ``encoder.layer.3``.
    """
    short = canonical(name)
    block = re.match(r"(?:.*?\.)??(?:\w+\.)*?\w+\.\d+(?=\.)", short)
    if block:
        return block[0]
    if "embed" in short or re.search(r"(?:^|\.)w[tp]e\.", short):
        return "embeddings"
    return short.split(".")[0]


def by_layer(summaries: Sequence[GroupSummary]) -> tuple[GroupSummary, ...]:
    """Sum up tensors layer by layer, in order of first appearance."""
    layers: defaultdict[str, list[GroupSummary]] = defaultdict(list)
    for one in summaries:
        layers[one.layer].append(one)
    return tuple(
        GroupSummary(
            name=layer,
            layer=layer,
            entries=sum(one.entries for one in members),
            moved=sum(one.moved for one in members),
            drift_norm=sqrt(sum(one.drift_norm**2 for one in members)),
            reference_norm=sqrt(sum(one.reference_norm**2 for one in members)),
            max_drift=max(one.max_drift for one in members),
            ordinary=(ordinary := sum(one.ordinary for one in members)),
            mean_score=sum(one.mean_score * one.ordinary for one in members) / max(ordinary, 1),
            top_count=sum(one.top_count for one in members),
        )
        for layer, members in layers.items()
    )


def most_suspicious(summaries: Sequence[GroupSummary], count: int = 20) -> tuple[GroupSummary, ...]:
    """Rank by the share of entries among the top 1 %, then by mean score, then by name.

    Tensors in which nothing moved, or nothing but what the scores silence, are left out.
    """
    scored = [one for one in summaries if one.moved and (one.mean_score > 0 or one.top_count)]
    return tuple(sorted(scored, key=lambda one: (-one.top_share, -one.mean_score, one.name))[:count])
