"""The diagonal Fisher: the mean over samples of squared per-sample gradients.

Not the square of a batch's gradient, which is another quantity: smaller by about the batch size and
biased towards directions that all samples share.
"""

from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final, Literal

import torch
from torch import Tensor, nn

from purify_cli.curvature.coverage import Coverage, coverage_of
from purify_cli.curvature.hooks import Tape, sites_of
from purify_cli.curvature.loop import add_one_by_one, columns
from purify_cli.curvature.objectives import Scalars, gold_loss, one_sample, own_labels
from purify_cli.curvature.result import Curvature, mean_of_squares
from purify_cli.data.batches import Batch
from purify_cli.progress import SILENT, Progress

__all__ = ["diagonal_fisher", "frozen", "mean_squared_gradients", "wanted_parameters"]

_OBJECTIVES: Final[Mapping[str, Scalars]] = {"empirical": gold_loss, "true": own_labels}


def diagonal_fisher(
    module: nn.Module,
    batches: Iterable[Batch],
    *,
    kind: Literal["empirical", "true"],
    parameters: Collection[str] | None = None,
    engine: Literal["hooks", "loop"] = "hooks",
    progress: Progress = SILENT,
) -> Curvature:
    """Compute the diagonal Fisher of a text classifier at its present weights.

    Args:
        module: A classifier in evaluation mode, float32. It is left as it was: no gradient, no hook, no flag.
        batches: Samples; neither their order nor the batch size matters. Moved to the module's device.
        kind: ``empirical``: squared gradient of the cross-entropy with the gold label. ``true``: expected over the
            model's own labels, exact in C − 1 backward passes for up to 32 classes C, estimated from 32 drawn labels
            per sample for more; labels of the samples are not looked at.
        parameters: Names; default: all that require gradients.
        engine: ``hooks`` is one batched pass; ``loop`` goes sample by sample.
        progress: Told of batches.

    Returns:
        Mean over samples, so that it does not grow with their number.

    Raises:
        UsageError: If there is no sample, or no label where one is needed.
        DataError: If a label is outside the head.
        CheckpointError: If an entry is not finite.
        ValueError: If the module is in training mode, is not float32, or lacks a named parameter.

    Source:
        Empirical and true Fisher as told apart by Kunstner, Hennig, Balles, "Limitations of the empirical Fisher
        approximation for natural gradient descent", NeurIPS 2019 (arXiv:1905.12558), equations 2 and 3.
    """
    return mean_squared_gradients(
        module, batches, _OBJECTIVES[kind], estimator=kind, parameters=parameters, engine=engine, progress=progress
    )


def mean_squared_gradients(
    module: nn.Module,
    batches: Iterable[Batch],
    objective: Scalars,
    *,
    estimator: str,
    parameters: Collection[str] | None = None,
    engine: Literal["hooks", "loop"] = "hooks",
    progress: Progress = SILENT,
) -> Curvature:
    """Compute Σ_m (∂ scalar_m)², averaged over samples, for any per-sample scalars; see ``diagonal_fisher``.

    With the summed token log-likelihood of each sequence as the scalar, this is the per-sequence empirical Fisher of
    a language model.
    """
    wanted = wanted_parameters(module, parameters)
    sums = {name: torch.zeros_like(p, memory_format=torch.contiguous_format) for name, p in wanted.items()}
    norms: list[Tensor] = []
    device = next(iter(wanted.values())).device
    sites = sites_of(module, wanted) if engine == "hooks" else []
    coverage: Coverage | None = None if sites else Coverage()
    with frozen(module):
        for batch in progress.track(batches, "curvature"):
            here = batch.to(device)
            size = len(here.index)
            norms.append(torch.zeros(size, device=device))
            if coverage is None:
                coverage = coverage_of(module, wanted, sites, objective, one_sample(here, 0))
            missed: frozenset[str] = frozenset()
            if coverage.hooks:
                with Tape(sites, coverage.hooks, coverage.overwritten, sums=sums, norms=norms[-1]) as tape:
                    missed = tape.backward(columns(objective(module, here), size))
            known = coverage.hooks | coverage.dormant
            rest = {name: p for name, p in wanted.items() if name in missed or name not in known}
            if rest:
                add_one_by_one(module, rest, objective, here, sums=sums, norms=norms[-1])
    return mean_of_squares(sums, norms, estimator)


def wanted_parameters(module: nn.Module, names: Collection[str] | None) -> dict[str, nn.Parameter]:
    """Return the named parameters, or all that require gradients, in the module's order.

    Raises:
        ValueError: If the module is in training mode (dropout would make it another function for every sample), has
            no such parameter, or is not float32 (squares of float16 gradients below 2.4e-4 underflow).
    """
    if any(layer.training for layer in module.modules()):
        raise ValueError("curvature needs the whole module in evaluation mode")
    own = dict(module.named_parameters())
    unknown = sorted(set(names or ()) - set(own))
    if unknown:
        raise ValueError(f"the module has no parameter {unknown[0]!r}")
    wanted = {name: p for name, p in own.items() if (p.requires_grad if names is None else name in names)}
    if not wanted:
        raise ValueError("no parameter is wanted: all are frozen")
    wrong = [name for name, p in wanted.items() if p.dtype not in {torch.float32, torch.float64}]
    if wrong:
        raise ValueError(f"curvature needs float32 weights, {wrong[0]} is {wanted[wrong[0]].dtype}")
    return wanted


@contextmanager
def frozen(module: nn.Module) -> Generator[None]:
    """Let no parameter require gradients for a while, with gradients enabled and autocast off."""
    before = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    kinds = {parameter.device.type for parameter, _ in before}
    try:
        for parameter, _ in before:
            parameter.requires_grad_(False)
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            for kind in kinds:
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)
