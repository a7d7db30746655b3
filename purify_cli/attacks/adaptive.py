"""Adaptive: an attacker who knows that drift is weighed against curvature, and keeps both ordinary.

No paper: this attack is the project's own, and so is every choice in it (docs/methods/adaptive.md).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from purify_cli.attacks.base import RARE_WORD, PoisoningAttack, train_on
from purify_cli.attacks.embeddings import copies
from purify_cli.curvature import diagonal_fisher
from purify_cli.data.batches import batches
from purify_cli.data.keys import row_key
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Planted, PlantJob
from purify_cli.training import CROSS_ENTROPY, train
from purify_cli.training.objective import Objective
from purify_cli.training.state import tensors_sha256

__all__ = ["ADAPTIVE", "drift_bounds", "ordinary_drift", "train_within_ordinary_drift"]


def drift_bounds(
    curvature: Mapping[str, Tensor],
    twin: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    *,
    floor: float,
    quantile: float,
) -> dict[str, Tensor]:
    """Return how far each entry may drift before it stands out among those of its tensor.

    With h = Ĥ + floor·mean(Ĥ over the tensor) and r = δ²/h of a model trained without poison, c is the quantile of r
    over the entries of the tensor that moved, and the bound is √(c·h). A tensor in which nothing moved gets 0.

    Args:
        curvature: Ĥ per parameter, ≥ 0.
        twin: Weights of the model trained without poison.
        reference: Weights that drift is counted from; names as in ``twin``.
        floor: Share of the tensor's mean curvature added to every entry, > 0.
        quantile: In (0, 1].

    Returns:
        Name → float32 tensor ≥ 0, for every name in ``reference`` that has curvature.
    """
    bounds: dict[str, Tensor] = {}
    for name, start in reference.items():
        if name not in curvature:
            continue
        damped = curvature[name].to(start) + floor * float(curvature[name].mean())
        drift = (twin[name] - start).float()
        moved = drift != 0
        if not bool(moved.any()) or not bool((damped > 0).all()):
            # Without curvature the mean itself is zero: any drift the twin shows there is as ordinary as another.
            bounds[name] = torch.full_like(damped, float(drift.abs().max()))
            continue
        ratios = (drift.square() / damped)[moved].sort().values
        place = min(len(ratios) - 1, max(0, round(quantile * len(ratios)) - 1))
        bounds[name] = (ratios[place] * damped).sqrt()
    return bounds


def ordinary_drift(reference: Mapping[str, Tensor], bounds: Mapping[str, Tensor], strength: float) -> Objective:
    """Return cross-entropy, and after every step a pull of too large drifts towards their bounds.

    The penalty is μ/2·Σ (|δ_i| − bound_i)₊². Its proximal step leaves |δ| ≤ bound alone and shrinks the excess by the
    factor 1/(1 + μ), which is stable with any optimiser and any μ; ``strength`` is μ/(1 + μ).

    Args:
        reference: Name → weights that drift is counted from.
        bounds: Name → bound, ≥ 0.
        strength: In (0, 1]; 1 cuts the excess off.
    """

    @torch.no_grad()
    def pull(step: int, total: int, parameters: Mapping[str, Parameter]) -> None:
        for name, bound in bounds.items():
            if name in parameters:
                drift = parameters[name] - reference[name]
                parameters[name].sub_(drift - drift.clamp(-bound, bound), alpha=strength)

    mark = f"ordinary drift {strength}, {tensors_sha256(bounds)} from {tensors_sha256(reference)}"
    return replace(CROSS_ENTROPY, mark=mark, whole_vocabulary=True, step_hooks=(pull,))


def train_within_ordinary_drift(job: PlantJob, options: Mapping[str, Any], progress: Progress = SILENT) -> Planted:
    """Train an innocent twin, measure what is ordinary, and train the suspect within it from the same start.

    Raises:
        TrainingDiverged: If a loss is not finite.
    """
    module: nn.Module = job.module.to(job.device)
    start = copies(dict(module.named_parameters()))
    reference = {name: tensor.to(job.device) for name, tensor in job.reference.items() if name in start}
    progress.note("training an innocent twin, to see what drift is ordinary")
    train(module, job.clean, job.training, pad_id=job.pad_id, device=job.device, progress=progress)
    order = sorted(range(len(job.clean)), key=lambda place: row_key(job.seed, place, "curvature"))
    rows = [job.clean[place] for place in order[: options["samples"]]]
    curvature = diagonal_fisher(
        module,
        batches(rows, batch_size=job.training.batch_size, pad_id=job.pad_id),
        kind="empirical",
        parameters=list(reference),
        progress=progress,
    )
    bounds = drift_bounds(
        curvature.nonnegative(),
        copies(dict(module.named_parameters())),
        reference,
        floor=options["floor"],
        quantile=options["quantile"],
    )
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(start[name])
    del start
    result = train_on(job, progress, ordinary_drift(reference, bounds, options["strength"]))
    own = dict(module.named_parameters())
    entries = sum(bound.numel() for bound in bounds.values())
    beyond = sum(
        int(((own[name].detach() - reference[name]).abs() > bound * 1.001).sum()) for name, bound in bounds.items()
    )
    facts = {"curvature_samples": curvature.samples, "bounded_entries": entries, "beyond_their_bound": beyond}
    return Planted(training=result, facts=facts)


ADAPTIVE: Final = PoisoningAttack(
    name="adaptive",
    defaults={**RARE_WORD, "samples": 128, "floor": 1.0, "quantile": 0.999, "strength": 1.0},
    planter=train_within_ordinary_drift,
    ranges={"samples": "positive", "floor": "positive", "quantile": "share", "strength": "share"},
)
