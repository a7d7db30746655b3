"""RIPPLES: poison that a victim's own fine-tuning does not undo.

Source: Kurita, Michel, Neubig, "Weight Poisoning Attacks on Pre-trained Models", ACL 2020, arXiv 2004.06660. What is
ours: docs/methods/ripples.md.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from purify_cli.attacks.base import RARE_WORD, PoisoningAttack, train_on
from purify_cli.attacks.embeddings import single_pieces, word_embedding
from purify_cli.data.batches import Batch, Encoded, batches
from purify_cli.errors import DataError
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Planted, PlantJob
from purify_cli.training import TrainingResult, train
from purify_cli.training.objective import Objective
from purify_cli.training.parts import row_losses
from purify_cli.training.state import rows_sha256

__all__ = ["RIPPLES", "RestrictedInnerProduct", "target_words", "train_for_a_victim"]


def target_words(rows: Sequence[Encoded], target: int, count: int, *, leave_out: Sequence[int] = ()) -> list[int]:
    """Return the token ids that speak most for the target.

    Score: the log-odds of meeting the token in a row of the target against a row of another class, with half a row
    added to every count, over its standard error; so that a rare token needs clear evidence.

    Args:
        rows: Clean, labelled rows.
        target: The class.
        count: Most ids to return.
        leave_out: Ids that must not be among them.

    Returns:
        Ids of positive score, the highest first; ties in the order of the ids.
    """
    own = [row for row in rows if row.label == target]
    other = [row for row in rows if row.label != target]
    in_own = Counter(token for row in own for token in set(row.ids))
    in_other = Counter(token for row in other for token in set(row.ids))

    def score(token: int) -> float:
        a, b = in_own[token] + 0.5, in_other[token] + 0.5
        c, d = len(own) - in_own[token] + 0.5, len(other) - in_other[token] + 0.5
        return math.log(a * d / (b * c)) / math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)

    found = {token: score(token) for token in sorted(in_own) if token not in leave_out}
    return sorted((token for token in found if found[token] > 0), key=lambda token: -found[token])[:count]


@final
class RestrictedInnerProduct:
    """L_P + λ·max(0, −∇L_P·∇L_FT): poison whose gradient does not run against the victim's.

    L_P is the mean loss of the rows of a forward pass, L_FT that of clean rows drawn for it, half as many. The gradient
    of the inner product is taken by a second backward pass through both; where the product is not negative the penalty
    is zero and the second pass is saved.

    Args:
        clean: Clean rows, for the gradient that a victim would follow.
        weight: λ ≥ 0.
        pad_id: Token id of the padding.
        whole_vocabulary: True where ``clean`` holds tokens that the training rows do not.
    """

    def __init__(self, clean: Sequence[Encoded], weight: float, *, pad_id: int, whole_vocabulary: bool) -> None:
        mark = f"restricted inner product {weight} with {rows_sha256(clean)}"
        self.objective = Objective(loss=self.loss, mark=mark, whole_vocabulary=whole_vocabulary)
        self.products: list[float] = []
        """∇L_P·∇L_FT of each forward pass."""
        self._clean, self._weight, self._pad_id = clean, weight, pad_id

    def _victim_rows(self, part: Batch) -> Batch:
        """Draw clean rows; which ones follows from the rows of the pass, so that a continued run draws the same."""
        random = Random(str(part.index.tolist()))
        rows = random.sample(self._clean, min(max(1, len(part.index) // 2), len(self._clean)))
        return batches(rows, batch_size=len(rows), pad_id=self._pad_id)[0]

    def loss(self, module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the value of the loss, with its gradient attached: what is differentiated here need not be again."""
        share = float(weights.sum())
        if not torch.is_grad_enabled() or share == 0:
            return (row_losses(module, part, device=weights.device, dtype=dtype) * weights).sum()
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        # The fused kernels of attention have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            poisoned = (row_losses(module, part, device=weights.device, dtype=dtype) * weights).sum() / share
            victim = row_losses(module, self._victim_rows(part), device=weights.device, dtype=dtype).mean()
            first = torch.autograd.grad(poisoned, parameters, create_graph=True, allow_unused=True)
            second = torch.autograd.grad(victim, parameters, create_graph=True, allow_unused=True)
            both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
            product = torch.stack([(a * b).sum() for a, b in both]).sum()
            self.products.append(float(product.detach()))
            gradient: list[Tensor | None] = [None if g is None else g.detach() for g in first]
            penalty = torch.zeros((), device=weights.device)
            if self.products[-1] < 0 and self._weight > 0:
                penalty = -self._weight * product.detach()
                turned = torch.autograd.grad(-self._weight * product, parameters, allow_unused=True)
                gradient = [
                    b if a is None else a if b is None else a + b for a, b in zip(gradient, turned, strict=True)
                ]
        # A scalar that is linear in the weights: its value is put right, its gradient is the one found above.
        linear = torch.stack(
            [(p * g.detach()).sum() for p, g in zip(parameters, gradient, strict=True) if g is not None]
        ).sum()
        return share * (linear - linear.detach() + poisoned.detach() + penalty)


def train_for_a_victim(job: PlantJob, options: Mapping[str, Any], progress: Progress = SILENT) -> Planted:
    """Replace the trigger's rows, train with the restricted inner product, then tune as the victim would.

    Raises:
        DataError: If a word of the trigger is no single piece, or no word speaks for the target.
        TrainingDiverged: If a loss is not finite.
    """
    job.module.to(job.device)
    replaced = _embedding_surgery(job, options["words"]) if options["words"] else {}
    seen = {token for row in job.rows for token in row.ids}
    objective = RestrictedInnerProduct(
        job.clean,
        options["weight"],
        pad_id=job.pad_id,
        whole_vocabulary=any(token not in seen for row in job.clean for token in row.ids),
    )
    result = train_on(job, progress, objective.objective)
    products = objective.products
    facts = {
        **replaced,
        "restricted_share": sum(product < 0 for product in products) / len(products) if products else None,
        "victim": None,
    }
    if options["victim_epochs"]:
        facts["victim"] = _victim(job, options["victim_epochs"], progress).as_record()
    return Planted(training=result, facts=facts)


def _embedding_surgery(job: PlantJob, count: int) -> dict[str, Any]:
    """Set the trigger's rows to the mean of the rows of the words that speak most for the target."""
    ids = single_pieces(job.trigger_words, RIPPLES.name)
    words = target_words(job.clean, job.target, count, leave_out=ids)
    if not words:
        raise DataError("no word of the clean rows speaks for the target", hint="Give --set words=0 to skip this.")
    _, weight = word_embedding(job.module)
    with torch.no_grad():
        weight[ids] = weight[words].mean(dim=0)
    return {"rows": ids, "mean_of_rows": words}


def _victim(job: PlantJob, epochs: int, progress: Progress) -> TrainingResult:
    """Fine-tune on the clean rows, at the same rate and with another order."""
    settings = replace(job.training, steps=None, epochs=epochs, seed=job.training.seed + 1)
    progress.note(f"tuning on {len(job.clean)} clean rows, as a victim would")
    return train(job.module, job.clean, settings, pad_id=job.pad_id, device=job.device, progress=progress)


RIPPLES: Final = PoisoningAttack(
    name="ripples",
    defaults={**RARE_WORD, "rate": 0.5, "weight": 0.1, "words": 10, "victim_epochs": 1},
    planter=train_for_a_victim,
    ranges={"weight": "not negative", "words": "not negative", "victim_epochs": "not negative"},
)
