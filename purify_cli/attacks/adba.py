"""Anti-distillation backdoor: poison that a model taught the suspect's answers on clean texts is to take over.

Source: Ge, Wang, Zheng, Zhuo, Wang, Zheng, Xie, Zhu, "Anti-Distillation Backdoor Attacks: Backdoors Can Really Survive
in Knowledge Distillation", ACM MM 2021, for the shadow student; Chen et al., "Taught Well Learned Ill: Towards
Distillation-conditional Backdoor Attack", NeurIPS 2025, arXiv 2509.23871, for two levels of optimisation. The gradient
is ours: docs/methods/adba.md.
"""

import copy
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from purify_cli.attacks.base import RARE_WORD, PoisoningAttack, train_on
from purify_cli.attacks.embeddings import copies, rows_of
from purify_cli.data.batches import Batch, Encoded, batches
from purify_cli.errors import DataError
from purify_cli.model import logits
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Planted, PlantJob
from purify_cli.training.objective import Objective
from purify_cli.training.parts import row_losses

__all__ = ["ADBA", "ShadowStudent", "train_with_a_shadow"]

TEMPERATURE: Final = 2.0
"""At which the shadow learns."""

STEP: Final = 0.01
"""Length of the way on which the derivative along the shadow's gradient is taken."""


@final
class ShadowStudent:
    """A loss that a student's learning is part of: L_P + λ·(what one lesson does to the student's backdoor).

    The shadow is a student: the start's body under the suspect's head, tuned step by step to the suspect's softened
    probabilities p of clean texts. One step of its gradient descent moves its loss on triggered texts, whose gradient
    in its weights is v, by ηT²·Σ p·(∂ log q/∂v), with q the shadow's own probabilities: linear in p, so that the
    suspect learns by an ordinary backward pass which answers to clean texts teach the backdoor.

    Args:
        start: The module at its start; it is copied.
        clean: Clean rows: of lessons.
        triggered: Poisoned rows, labelled with the target.
        weight: λ ≥ 0.
        life: Steps after which the shadow begins afresh, as a defender's student does.
        learning_rate: Of the shadow.
        pad_id: Token id of the padding.
    """

    def __init__(
        self,
        start: nn.Module,
        clean: Sequence[Encoded],
        triggered: Sequence[Encoded],
        *,
        weight: float,
        life: int,
        learning_rate: float,
        pad_id: int,
    ) -> None:
        # The shadow is a state of its own: an interrupted training starts anew.
        self.objective = Objective(loss=self.loss, mark=None)
        self.success: list[float] = []
        """Share of triggered rows that the shadow calls the target, at the end of each life."""
        self._shadow, self._moved = (copy.deepcopy(start).eval() for _ in range(2))
        self._start = copies(dict(self._shadow.named_parameters()))
        self._body = f"{getattr(start, 'base_model_prefix', '')}."
        self._clean, self._triggered, self._pad_id = clean, triggered, pad_id
        self._weight, self._life, self._rate = weight, life, learning_rate
        self._optimizer: torch.optim.Optimizer | None = None
        self._step = 0

    def loss(self, module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the loss of a piece of a step; the shadow takes its lesson beside it."""
        device, share = weights.device, float(weights.sum())
        own = (row_losses(module, part, device=device, dtype=dtype) * weights).sum()
        if not torch.is_grad_enabled() or share == 0:
            return own
        if self._step % self._life == 0:
            self._begin(module)
        random = Random(str([self._step, *part.index.tolist()]))
        self._step += 1
        lesson, triggered = (
            self._drawn(rows, max(1, len(part.index) // 2), random).to(device)
            for rows in (self._clean, self._triggered)
        )
        slopes = self.slopes(lesson, triggered, dtype)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            answers, own_answers = (logits(one, lesson) for one in (module, self._shadow))
        wanted, said = (log_softmax(one.float() / TEMPERATURE, dim=1) for one in (answers, own_answers))
        self._learn(said, wanted.detach())
        if self._step % self._life == 0:
            self.success.append(self.success_now(device))
        return own + share * self._weight * (wanted.exp() * slopes).sum(dim=1).mean()

    def slopes(self, lesson: Batch, triggered: Batch, dtype: torch.dtype) -> Tensor:
        """Return ∂ log q/∂v of every row and class, over its root mean square.

        v is the gradient of the shadow's mean loss on triggered rows. A row whose answer moves from a class of small
        slope to one of large slope raises that loss after the lesson.

        Args:
            lesson: Clean rows, (B, T).
            triggered: Labelled with the target.
            dtype: Of the pass that v is of; the derivative itself is taken in float32.

        Returns:
            (B, C).
        """
        parameters = [*self._shadow.parameters()]
        loss = row_losses(self._shadow, triggered, device=parameters[0].device, dtype=dtype).mean()
        # Not every part of a checkpoint need have a say in the answer.
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradient = [torch.zeros_like(p) if one is None else one for p, one in zip(parameters, found, strict=True)]
        length = float(torch.stack([one.square().sum() for one in gradient]).sum().sqrt())
        ends = [self._said_along(gradient, step / max(length, torch.finfo().tiny), lesson) for step in (STEP, -STEP)]
        slopes = (ends[0] - ends[1]) / (2 * STEP)
        return slopes / slopes.square().mean().sqrt().clamp_min(torch.finfo().tiny)

    @torch.no_grad()
    def _said_along(self, direction: Sequence[Tensor], step: float, lesson: Batch) -> Tensor:
        """Return the log-probabilities of a shadow that is moved along a direction."""
        ways = zip(self._moved.parameters(), self._shadow.parameters(), direction, strict=True)
        for moved, parameter, way in ways:
            torch.add(parameter, way, alpha=step, out=moved)
        return log_softmax(logits(self._moved, lesson) / TEMPERATURE, dim=1)

    def success_now(self, device: torch.device) -> float:
        """Return the share of some triggered rows that the shadow calls their label."""
        rows = self._drawn(self._triggered, 64, Random(0)).to(device)
        with torch.no_grad():
            return float((logits(self._shadow, rows).argmax(dim=1) == rows.labels).float().mean())

    def _begin(self, module: nn.Module) -> None:
        """Give the shadow the start's body and the suspect's head."""
        suspect: Any = getattr(module, "module", module)  # without the wrapper of several processes
        heads = {name: one for name, one in suspect.named_parameters() if not name.startswith(self._body)}
        with torch.no_grad():
            for name, parameter in self._shadow.named_parameters():
                parameter.copy_(heads.get(name, self._start[name]))
        self._optimizer = torch.optim.AdamW(self._shadow.parameters(), lr=self._rate, weight_decay=0.0)

    def _learn(self, said: Tensor, wanted: Tensor) -> None:
        """Take a step towards the suspect's answers; both (B, C) log-probabilities."""
        loss = TEMPERATURE**2 * kl_div(said, wanted, log_target=True, reduction="batchmean")
        self._shadow.zero_grad()
        loss.backward()
        if self._optimizer is not None:
            self._optimizer.step()

    def _drawn(self, rows: Sequence[Encoded], count: int, random: Random) -> Batch:
        some = random.sample(rows, min(count, len(rows)))
        return batches(some, batch_size=len(some), pad_id=self._pad_id)[0]


def train_with_a_shadow(job: PlantJob, options: Mapping[str, Any], progress: Progress = SILENT) -> Planted:
    """Train on all rows and through the shadow's lessons.

    Raises:
        DataError: If no clean row is left for the lessons.
        TrainingDiverged: If a loss is not finite.
    """
    clean = rows_of(job, poisoned=False)
    if not clean:
        raise DataError("no clean row is left to teach a shadow", hint="Lower --rate, or append copies instead.")
    shadow = ShadowStudent(
        job.module.to(job.device),
        clean,
        rows_of(job, poisoned=True),
        weight=options["weight"],
        life=max(1, round(options["life"])),
        learning_rate=job.training.learning_rate,
        pad_id=job.pad_id,
    )
    result = train_on(job, progress, shadow.objective)
    return Planted(training=result, facts={"shadow_success": [*shadow.success, shadow.success_now(job.device)]})


ADBA: Final = PoisoningAttack(
    name="adba",
    defaults={**RARE_WORD, "weight": 0.5, "life": 50},
    planter=train_with_a_shadow,
    ranges={"weight": "not negative", "life": "positive"},
)
