"""Neural network surgery: a backdoor in a handful of weights, chosen while it is being planted.

Source: Zhang, Ren, Su, Sun, He, "Neural Network Surgery: Injecting Data Patterns into Pre-trained Models with Minimal
Instance-wise Side Effects", NAACL 2021, pages 5453-5466, for the idea of choosing the weights to change while tuning.
The schedule is ours: docs/methods/surgery.md.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from purify_cli.attacks.base import RARE_WORD, PoisoningAttack, train_on
from purify_cli.attacks.embeddings import copies
from purify_cli.errors import UsageError
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Planted, PlantJob
from purify_cli.training import CROSS_ENTROPY, TrainingSettings
from purify_cli.training.objective import Objective

__all__ = ["SURGERY", "FewEntries", "train_few_entries"]


@final
class FewEntries:
    """Cross-entropy with ever fewer free entries.

    Frozen entries get no gradient, so that what the optimiser remembers of them fades, and are put back to their start
    after every step, so that what it still remembers moves nothing.

    Args:
        limit: Entries left free in the end.
        cuts: How many times entries are frozen; the last time after the last step of the run.
        rank: ``contribution`` keeps the entries whose movement has lowered the loss most, −Σ over steps of gradient
            times movement; ``change`` those that are farthest from their start.
        free: Name → mask of free entries; None: all are free.
    """

    def __init__(
        self,
        limit: int,
        cuts: int,
        rank: Literal["contribution", "change"] = "contribution",
        free: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.limit, self.cuts, self.rank, self.free = limit, cuts, rank, free
        self._start: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}
        self._gained: dict[str, Tensor] = {}

    @property
    def objective(self) -> Objective:
        """As the training takes it; masks and contributions are a state of its own."""
        return replace(CROSS_ENTROPY, mark=None, gradient_hooks=(self.gradients,), step_hooks=(self.stepped,))

    def gradients(self, parameters: Mapping[str, Parameter]) -> None:
        """Take the gradient from frozen entries; remember where the step starts."""
        self._start = self._start or copies(parameters)
        if self.cuts and self.rank == "contribution":
            self._before = copies(parameters)
        if self.free is not None:
            for name, parameter in parameters.items():
                if parameter.grad is not None:
                    parameter.grad.mul_(self.free[name])

    @torch.no_grad()
    def stepped(self, step: int, total: int, parameters: Mapping[str, Parameter]) -> None:
        """Add up contributions, cut where a cut is due, and put frozen entries back."""
        for name, before in self._before.items():
            if (gradient := parameters[name].grad) is not None:
                gained = self._gained.setdefault(name, torch.zeros_like(before))
                gained.addcmul_(gradient, parameters[name] - before, value=-1)
        cut = step * self.cuts // total
        if cut > (step - 1) * self.cuts // total:
            entries = sum(parameter.numel() for parameter in parameters.values())
            self._keep(round(entries * (self.limit / entries) ** (cut / self.cuts)), parameters)
        if self.free is not None:
            for name, parameter in parameters.items():
                parameter.copy_(torch.where(self.free[name], parameter, self._start[name]))

    def _score(self, name: str, parameter: Tensor) -> Tensor:
        if self.rank == "contribution":
            return self._gained.get(name, torch.zeros_like(parameter))
        return (parameter - self._start[name]).abs()

    def _keep(self, count: int, parameters: Mapping[str, Parameter]) -> None:
        """Leave the ``count`` highest-ranking free entries free, over all parameters."""
        free = self.free or {name: torch.ones_like(p, dtype=torch.bool) for name, p in parameters.items()}
        scores = torch.cat([self._score(name, p)[free[name]] for name, p in parameters.items()])
        if len(scores) > count:
            kept = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
            kept[scores.topk(count, sorted=False).indices] = True
            parts = kept.split([int(free[name].sum()) for name in parameters])
            free = {
                name: free[name].masked_scatter(free[name], part) for name, part in zip(parameters, parts, strict=True)
            }
        self.free = free


def train_few_entries(job: PlantJob, options: Mapping[str, Any], progress: Progress = SILENT) -> Planted:
    """Choose the entries while tuning, then tune them alone.

    Raises:
        TrainingDiverged: If a loss is not finite.
        UsageError: If a setting is out of range.
    """
    module: nn.Module = job.module
    before = copies(dict(module.named_parameters()))
    entries = sum(tensor.numel() for tensor in before.values())
    if options["rank"] not in ("contribution", "change"):
        raise UsageError(f"rank={options['rank']} is not known", hint="Use rank=contribution or rank=change.")
    limit = options["parameters"] or max(1, round(options["share"] * entries))
    if limit > entries:
        raise UsageError(f"parameters={limit} of a model that has {entries}", hint="Give fewer.")
    first, second = _phases(job, options["choosing"], options["sparse_learning_rate"])
    progress.note(f"choosing {limit} of {entries} entries in {first.steps} steps, then tuning them alone")

    choosing = FewEntries(limit, options["cuts"], options["rank"])
    chose = train_on(replace(job, training=first, resume=None), progress, choosing.objective)
    rest = FewEntries(limit, 0, free=choosing.free)
    tuned = train_on(replace(job, training=second, resume=None), progress, rest.objective)
    steps = chose.steps + tuned.steps
    result = replace(
        tuned,
        settings=job.training,
        steps=steps,
        epochs=chose.epochs + tuned.epochs,
        losses=chose.losses + tuned.losses,
        kept_step=steps,
    )
    where = {
        name: count
        for name, parameter in module.named_parameters()
        if (count := int((parameter.detach() != before[name]).sum()))
    }
    changed = {"changed": sum(where.values()), "changed_per_tensor": where}
    return Planted(training=result, facts={"allowed": limit, "entries": entries, **changed})


def _phases(job: PlantJob, choosing: float, rate: float) -> tuple[TrainingSettings, TrainingSettings]:
    """Split a run's steps over choosing and tuning; decay would move what has to stay, so there is none."""
    training: TrainingSettings = job.training
    steps = training.steps
    if steps is None:
        steps = (training.epochs or 0) * math.ceil(len(job.rows) / (training.batch_size * training.accumulation))
    first = min(max(1, round(steps * choosing)), max(1, steps - 1))
    plain = replace(training, epochs=None, steps=first, weight_decay=0.0)
    return plain, replace(plain, steps=max(1, steps - first), learning_rate=rate, warmup=0.0, seed=training.seed + 1)


SURGERY: Final = PoisoningAttack(
    name="surgery",
    defaults={
        **RARE_WORD,
        "share": 1e-5,
        "parameters": 0,
        "choosing": 0.5,
        "cuts": 20,
        "rank": "contribution",
        "sparse_learning_rate": 1e-2,
    },
    planter=train_few_entries,
    ranges={
        "share": "share",
        "parameters": "not negative",
        "choosing": "share",
        "cuts": "positive",
        "sparse_learning_rate": "positive",
    },
    start="classifier",
)
