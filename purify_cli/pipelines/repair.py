"""The reset itself: from scores to a mask to weights, with the counts that the record states."""

from dataclasses import dataclass
from math import inf
from typing import Literal, final

from purify_cli.indicators.law import fit_mixture
from purify_cli.indicators.sampling import sample_scores
from purify_cli.pipelines.inputs import Opened
from purify_cli.pipelines.run_folder import RunFolder
from purify_cli.pipelines.scoring import Scored
from purify_cli.progress import Progress
from purify_cli.report.schema import FileFact, ResetCounts
from purify_cli.reset import posterior_blend, reset_to_reference
from purify_cli.selection.mask import Mask, build_mask, write_mask
from purify_cli.tensors import TensorSource, chunks

__all__ = ["Repaired", "reset"]


@final
@dataclass(frozen=True, slots=True)
class Repaired:
    """Weights after the reset, and what was done to them."""

    weights: TensorSource
    counts: ResetCounts
    mask: FileFact | None


def reset(
    opened: Opened,
    scored: Scored | None,
    *,
    ratio: float,
    replacement: Literal["reference", "posterior"],
    run: RunFolder,
    seed: int,
    progress: Progress,
) -> Repaired:
    """Reset round(ratio · d) dimensions and write the mask; without scores the weights stay as they are.

    With ``posterior`` the ratio is the prior share of poisoned dimensions, every drift shrinks by its own probability
    of being poisoned, and there is no mask.
    """
    beyond = sum(opened.nonfinite.values())
    if scored is None or replacement == "posterior":
        run.mask.unlink(missing_ok=True)  # a mask beside a record that has none would be read as its own
    if scored is None:
        return Repaired(opened.pair.suspect, _counts(opened, 0.0, {}, beyond), None)
    if replacement == "posterior":
        return _posterior(opened, scored, ratio, beyond, seed=seed)
    mask = build_mask(scored.scores, ratio, progress=progress)
    sha = write_mask(run.mask, mask, {"indicator": scored.indicator_facts.name})
    counts = _counts(opened, ratio, mask.per_tensor, beyond, changed=_changed(opened, mask))
    return Repaired(reset_to_reference(opened.pair, mask), counts, FileFact(path=str(run.mask), sha256=sha))


def _posterior(opened: Opened, scored: Scored, ratio: float, beyond: int, *, seed: int) -> Repaired:
    samples = scored.curvature_facts.effective_samples if scored.curvature_facts else inf
    fit = fit_mixture(sample_scores(scored.scores, seed=seed), samples, clean_share=1 - ratio)
    removed = {name: 0.0 for name in scored.scores.specs}
    for name, _, chunk in chunks(scored.scores):
        removed[name] += float((1 - fit.clean_probability(chunk)).sum())
    total = sum(removed.values())
    per_tensor = {name: round(amount) for name, amount in removed.items()}
    dimensions = opened.pair.dimensions
    counts = _counts(opened, total / max(dimensions, 1), per_tensor, beyond)
    return Repaired(posterior_blend(opened.pair, scored.scores, fit), counts, None)


def _counts(
    opened: Opened, ratio: float, per_tensor: dict[str, int], beyond: int, *, changed: int | None = None
) -> ResetCounts:
    selected = sum(per_tensor.values())
    return ResetCounts(
        ratio=ratio,
        dimensions=opened.pair.dimensions,
        reset=selected,
        changed=selected if changed is None else changed,
        beyond_ratio=beyond,
        per_tensor=per_tensor,
    )


def _changed(opened: Opened, mask: Mask) -> int:
    reference = opened.pair.reference_part
    changed = 0
    for name, start, suspect in chunks(opened.pair.suspect_part):
        stop = start + suspect.numel()
        moved = suspect.ne(reference.read(name, start, stop))
        changed += int(moved.logical_and_(mask.read(name, start, stop)).sum())
    return changed
