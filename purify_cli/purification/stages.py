"""One stage of a repair: from scores to a mask to weights, or what a ``WeightDefence`` does, with the counts of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, final

import torch
from torch import Tensor

from purify_cli.checkpoint import CheckpointPair
from purify_cli.indicators.law import fit_mixture
from purify_cli.indicators.sampling import sample_scores
from purify_cli.inputs.opening import OpenedPair
from purify_cli.inputs.scoring import PairScores
from purify_cli.progress import Progress
from purify_cli.protocols import WeightEdit
from purify_cli.purification.plan import Stage
from purify_cli.reset import posterior_blend, reset_to_reference
from purify_cli.selection.mask import Mask, build_mask
from purify_cli.tensors import TensorSource, chunks

__all__ = [
    "RepairedModel",
    "ResetCounts",
    "StageFacts",
    "StageResult",
    "apply_edit",
    "combine_stages",
    "nothing_reset",
    "reset_scored",
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ResetCounts:
    """What was reset."""

    ratio: float
    """Of a posterior blend: the mean probability of being poisoned. 0 where no stage takes a ratio."""
    dimensions: int
    reset: int
    """round(ratio · dimensions); of a posterior blend, what it amounts to; of a method with a ratio in a unit of its
    own, the entries it set."""
    changed: int
    """Reset dimensions whose value differed from the reference."""
    beyond_ratio: int
    """Set above the ratio: non-finite entries, and those of the other stages."""
    nonfinite: int | None = None
    """Non-finite entries among them."""
    per_tensor: dict[str, int]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StageFacts:
    """One method of a composition, in the order in which they worked."""

    method: str
    ratio: float | None
    """What it was given; of a posterior blend, what it came to; null: it takes none."""
    entries: int
    """Entries that it set."""
    changed: int
    """Entries that hold another value since."""
    indicator: str | None = None
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """What else the method says of its work."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """Weights after one stage, and what it did to them."""

    weights: TensorSource
    per_tensor: Mapping[str, int]
    """Entries that were set."""
    facts: StageFacts
    mask: Mask | None = None
    frozen: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RepairedModel:
    """Weights after all stages, and what was done to them."""

    weights: TensorSource
    """All tensors of the suspect, under its names, in its stored types."""
    counts: ResetCounts
    mask: Mask | None
    """What the stage that takes the ratio reset; None of a blend, a ``WeightDefence``, or where nothing was scored."""
    frozen: Mapping[str, Tensor]
    """Name of a tensor → (its shape) bool: entries that fine-tuning leaves as they are."""
    stages: tuple[StageFacts, ...]
    """One per method, in order."""
    scored: PairScores | None
    """Scores of the stage that takes the ratio, and how they were made."""


def reset_scored(
    pair: CheckpointPair,
    scored: PairScores,
    stage: Stage,
    ratio: float,
    *,
    seed: int,
    progress: Progress,
) -> StageResult:
    """Reset round(ratio · d) dimensions as a stage says.

    With ``posterior`` the ratio is the prior share of poisoned dimensions, every drift shrinks by its own probability
    of being poisoned, and there is no mask.
    """
    if stage.replacement == "posterior":
        return _blended(pair, scored, stage.method, ratio, seed=seed)
    mask = build_mask(scored.scores, ratio, progress=progress)
    per_tensor, changed = mask.per_tensor, _moved(pair, mask)
    facts = _facts(stage.method, scored, ratio, per_tensor, changed)
    weights = reset_to_reference(pair, mask)
    return StageResult(weights=weights, per_tensor=per_tensor, facts=facts, mask=mask)


def _blended(pair: CheckpointPair, scored: PairScores, method: str, ratio: float, *, seed: int) -> StageResult:
    samples = scored.curvature.facts.effective_samples if scored.curvature else inf
    fit = fit_mixture(sample_scores(scored.scores, seed=seed), samples, clean_share=1 - ratio)
    removed = {name: 0.0 for name in scored.scores.specs}
    for name, _, chunk in chunks(scored.scores):
        removed[name] += float((1 - fit.clean_probability(chunk)).sum())
    per_tensor = {name: round(amount) for name, amount in removed.items()}
    share, total = sum(removed.values()) / max(pair.dimensions, 1), sum(per_tensor.values())
    facts = _facts(method, scored, share, per_tensor, total)
    weights = posterior_blend(pair, scored.scores, fit)
    return StageResult(weights=weights, per_tensor=per_tensor, facts=facts)


def _facts(method: str, scored: PairScores, ratio: float, per_tensor: Mapping[str, int], changed: int) -> StageFacts:
    return StageFacts(
        method=method,
        ratio=ratio,
        entries=sum(per_tensor.values()),
        changed=changed,
        indicator=scored.facts.name,
        settings=scored.facts.settings,
    )


def nothing_reset(weights: TensorSource, method: str, ratio: float | None) -> StageResult:
    """Reset nothing: plain fine-tuning, and every ratio of 0."""
    facts = StageFacts(method=method, ratio=ratio, entries=0, changed=0)
    return StageResult(weights=weights, per_tensor={}, facts=facts)


def apply_edit(
    before: TensorSource,
    made: WeightEdit,
    *,
    method: str,
    ratio: float | None,
    settings: Mapping[str, object],
    tied: Mapping[str, str],
) -> StageResult:
    """Count what a ``WeightDefence`` did to the weights."""
    changed = 0
    for name, start, old in chunks(before):
        if name not in tied:
            changed += int(old.ne(made.weights.read(name, start, start + old.numel())).sum())
    facts = StageFacts(
        method=method,
        ratio=ratio,
        entries=sum(made.per_tensor.values()),
        changed=changed,
        settings=dict(settings),
        facts=dict(made.facts),
    )
    return StageResult(weights=made.weights, per_tensor=made.per_tensor, facts=facts, frozen=made.frozen)


def combine_stages(
    opened: OpenedPair, outcomes: Sequence[StageResult], leading: StageResult | None, scored: PairScores | None
) -> RepairedModel:
    """Bring the stages together: what the ratio selected, and what was set beyond it.

    Args:
        opened: For the number of dimensions, and of entries that were not finite.
        outcomes: One per stage, in order.
        leading: The one that takes the ratio, if any does.
        scored: Its scores.
    """
    nonfinite = sum(opened.nonfinite.values())
    others = sum(one.facts.entries for one in outcomes if one is not leading)
    counts = ResetCounts(
        ratio=(leading.facts.ratio if leading else None) or 0.0,
        dimensions=opened.pair.dimensions,
        reset=leading.facts.entries if leading else 0,
        changed=leading.facts.changed if leading else 0,
        beyond_ratio=nonfinite + others,
        nonfinite=nonfinite,
        per_tensor=dict(leading.per_tensor) if leading else {},
    )
    frozen: dict[str, Tensor] = {}
    for one in outcomes:
        for name, held in one.frozen.items():
            frozen[name] = torch.logical_or(frozen[name], held) if name in frozen else held
    return RepairedModel(
        weights=outcomes[-1].weights,
        counts=counts,
        mask=leading.mask if leading else None,
        frozen=frozen,
        stages=tuple(one.facts for one in outcomes),
        scored=scored,
    )


def _moved(pair: CheckpointPair, mask: Mask) -> int:
    """Count the selected entries whose value differs from the reference's."""
    reference = pair.reference_part
    changed = 0
    for name, start, suspect in chunks(pair.suspect_part):
        stop = start + suspect.numel()
        if mask.any_in(name, start, stop):
            moved = suspect.ne(reference.read(name, start, stop))
            changed += int(moved.logical_and_(mask.read(name, start, stop)).sum())
    return changed
