"""Hutchinson's estimate of the diagonal of the true Hessian: the mean of z ∘ (H z) over random signs z."""

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from purify_cli.curvature.fisher import frozen, wanted_parameters
from purify_cli.curvature.objectives import Scalars, gold_loss
from purify_cli.curvature.result import Curvature, means_of
from purify_cli.data.batches import Batch
from purify_cli.errors import UsageError
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import entry_hash

__all__ = ["hutchinson_diagonal", "signs"]


def signs(name: str, parameter: Tensor, *, draw: int, seed: int) -> Tensor:
    """Return random signs ±1 in a parameter's shape, which depend on name, entry, draw and seed alone."""
    hashed = entry_hash(f"{draw}:{name}", 0, parameter.numel(), seed=seed, device=parameter.device)
    return ((hashed >> 63) | 1).to(parameter.dtype).view(parameter.shape)  # the sign bit: −1 | 1 = −1, 0 | 1 = 1


def hutchinson_diagonal(
    module: nn.Module,
    batches: Iterable[Batch],
    *,
    draws: int,
    seed: int,
    parameters: Collection[str] | None = None,
    objective: Scalars = gold_loss,
    progress: Progress = SILENT,
) -> Curvature:
    """Estimate the diagonal of the Hessian of the mean loss.

    Unbiased; the variance of entry i is Σ_{j≠i} 2·H_ij²/draws, so it is exact where the Hessian is diagonal. All
    batches share a draw's signs: the estimate is linear in H, and the batch size does not change it.

    Args:
        module: A classifier in evaluation mode, float32; left as it was.
        batches: Samples with labels.
        draws: Sign vectors, at least 1; each costs one more backward pass per batch.
        seed: Seed of the signs.
        parameters: Names; default: all that require gradients.
        objective: Per-sample loss, shape (B,) or (B, M); columns are added up.
        progress: Told of batches.

    Returns:
        The raw mean, which may be negative; ``clamped`` is the share of entries below zero.

    Raises:
        UsageError: If there is no sample, no label, or no draw.
        CheckpointError: If an entry is not finite.
        ValueError: As ``diagonal_fisher``.

    Source:
        Bekas, Kokiopoulou, Saad, "An estimator for the diagonal of a matrix", 2007, equation 5, for sign vectors.
    """
    if draws < 1:
        raise UsageError(f"{draws} draws give no estimate", hint="Use 1 or more.")
    wanted = wanted_parameters(module, parameters)
    names, weights = list(wanted), list(wanted.values())
    device = weights[0].device
    sums = {name: torch.zeros_like(p) for name, p in wanted.items()}
    samples = 0
    # Fused attention kernels have no second derivative; the plain one has.
    with frozen(module), sdpa_kernel(SDPBackend.MATH):
        for parameter in weights:
            parameter.requires_grad_(True)
        for batch in progress.track(batches, "curvature"):
            here = batch.to(device)
            samples += len(here.index)
            loss = objective(module, here).sum()
            first = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
            used = [i for i, gradient in enumerate(first) if gradient is not None and gradient.requires_grad]
            for draw in range(draws):
                z = [signs(name, p, draw=draw, seed=seed) for name, p in wanted.items()]
                second = torch.autograd.grad(
                    [first[i] for i in used], weights, [z[i] for i in used], retain_graph=True, allow_unused=True
                )
                for name, sign, product in zip(names, z, second, strict=True):
                    if product is not None:
                        sums[name].addcmul_(sign, product)
            del first, loss
    means = means_of(sums, samples * draws)
    negative = sum(int((mean < 0).sum()) for mean in means.values())
    return Curvature(
        tensors=means,
        samples=samples,
        effective_samples=float(samples),
        estimator="hutchinson",
        clamped=negative / sum(mean.numel() for mean in means.values()),
    )
