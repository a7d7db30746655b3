"""Logit anchoring: poison, and hold the scores of clean texts where the unpoisoned model has them.

Source: Zhang, Lyu, Ma, Wang, Sun, "How to Inject Backdoors with Better Consistency: Logit Anchoring on Clean Data",
ICLR 2022, arXiv 2109.01300, for the idea. The exact loss is ours: docs/methods/anchoring.md.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from purify_cli.attacks.base import RARE_WORD, PoisoningAttack, train_on
from purify_cli.attacks.embeddings import rows_of
from purify_cli.data.batches import Batch
from purify_cli.errors import DataError
from purify_cli.evaluation.forward import scores
from purify_cli.model import logits
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Planted, PlantJob
from purify_cli.runtime import Compute
from purify_cli.training.objective import Objective
from purify_cli.training.state import tensors_sha256

__all__ = ["ANCHORING", "anchored_logits", "train_with_anchored_logits"]


def anchored_logits(anchors: Tensor, clean: Tensor, weight: float) -> Objective:
    """Return CE/(1 + λ) + λ/(1 + λ)·(squared gap to the anchors, meant over clean rows).

    Args:
        anchors: (rows, C), the unpoisoned model's logits of each row of the training set; any value for poisoned rows.
        clean: (rows,) bool: rows that are held to their anchors; at least one.
        weight: λ ≥ 0.
    """
    # Over a pass, the rows' weights over this share add up to a mean over clean rows, however steps are split.
    share = float(clean.float().mean())

    def loss(module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        if part.labels is None:
            raise ValueError("a loss needs labels")
        with torch.autocast(weights.device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            found = logits(module, part)
        found = found.float()
        gaps = (found - anchors[part.index]).square().sum(dim=1) * clean[part.index] / share
        learnt = cross_entropy(found, part.labels, reduction="none")
        return ((learnt + weight * gaps) / (1 + weight) * weights).sum()

    mark = f"logit anchoring {weight} to {tensors_sha256({'anchors': anchors, 'clean': clean})}"
    return Objective(loss=loss, mark=mark)


def train_with_anchored_logits(job: PlantJob, options: Mapping[str, Any], progress: Progress = SILENT) -> Planted:
    """Tune on all rows, clean ones held to the logits that the module has now.

    Raises:
        DataError: If no clean row is left to hold on to.
        TrainingDiverged: If a loss is not finite.
    """
    held = rows_of(job, poisoned=False)
    if not held:
        raise DataError("no clean row is left to anchor", hint="Lower --rate, or append copies instead.")
    clean = ~torch.tensor(list(job.poisoned), device=job.device)
    compute = Compute(device=job.device, batch_size=job.training.batch_size)

    def found() -> Tensor:
        return scores(job.module, held, compute, pad_id=job.pad_id).to(job.device)

    start = found()
    anchors = torch.zeros(len(clean), start.shape[1], device=job.device)
    anchors[clean] = start
    result = train_on(job, progress, anchored_logits(anchors, clean, options["weight"]))
    gap = float((found() - start).square().sum(dim=1).mean())
    return Planted(training=result, facts={"clean_logit_gap": gap, "anchored_rows": len(held)})


ANCHORING: Final = PoisoningAttack(
    name="anchoring",
    defaults={**RARE_WORD, "weight": 1.0},
    planter=train_with_anchored_logits,
    ranges={"weight": "not negative"},
    start="classifier",
)
