"""How much of a matrix's drift lies in a single direction."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from purify_cli.drift import drift
from purify_cli.progress import SILENT, Progress
from purify_cli.tensors import TensorSource

__all__ = ["concentration", "top_direction"]


def top_direction(delta: Float[Tensor, "m n"], *, seed: int = 0) -> float:
    """Return σ₁²/Σσ², the share of a matrix's squared norm that its first singular direction holds.

    By a randomised decomposition (Halko, Martinsson, Tropp, SIAM Review 2011; ``torch.svd_lowrank``), which takes a few
    products with the matrix where all singular values would take a cube of its side. It never says too much.

    Args:
        delta: Not all 0.
        seed: Of the random start; the global generator is left as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        values = torch.svd_lowrank(delta.float(), q=min(8, *delta.shape), niter=4)[1]
    return min(1.0, float(values[0].double().square() / delta.double().square().sum()))


def concentration(suspect: TensorSource, reference: TensorSource, progress: Progress = SILENT) -> Mapping[str, float]:
    """Return tensor → ``top_direction`` of its drift.

    Embeddings are left out, whose rows are words and stand for themselves, and so is what did not move.

    Args:
        suspect: Comparable dimensions; matrices are read whole, one at a time.
        reference: The same, cast to the suspect's types.
        progress: Told of the pass.
    """
    moves = drift(suspect, reference)
    matrices = [
        spec
        for spec in suspect.specs.values()
        if len(spec.shape) == 2 and min(spec.shape) > 1 and "embed" not in spec.name
    ]
    found: dict[str, float] = {}
    for spec in progress.track(matrices, "decomposing drift", total=len(matrices)):
        delta = moves.read(spec.name).view(spec.shape)
        if delta.any():
            found[spec.name] = top_direction(delta)
    return found
