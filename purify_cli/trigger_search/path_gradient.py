"""How each dimension bears on what a trigger does, averaged on the way from the suspect to its reference.

The gradient at the suspect alone says what a small step does, and a planted trigger saturates the answer: a small step
does little. Averaged over points of the way w(α) = w − α·δ it estimates what moving δ out would do.

Integrated gradients (Sundararajan, Taly, Yan, ICML 2017, arXiv:1703.01365) take the mean over the whole of a path in
the space of inputs; the path in weights, and its end before the reference, where nothing of the task is left, are ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn

from purify_cli.checkpoint import CheckpointPair
from purify_cli.data.batches import Batch, Encoded, batches
from purify_cli.errors import NonFiniteWeights
from purify_cli.model import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.tensors import InMemory, chunks

__all__ = ["POINTS", "REACH", "TriggeredBatch", "path_gradient"]

POINTS: Final = 6
REACH: Final = 0.6
"""The way ends at 60 % of the drift and is looked at in the middle of six equal parts. Ours."""


@final
@dataclass(frozen=True, slots=True)
class TriggeredBatch:
    """Rows that carry a trigger, and what it drives up in them."""

    rows: Sequence[Encoded]
    margin: Callable[[nn.Module, Batch], Tensor]
    """From a module and some of the rows to the target's margin in each, or a part of it, shape (B,), in nats."""


def path_gradient(
    loaded: LoadedModel,
    pair: CheckpointPair,
    driven: Sequence[Sequence[TriggeredBatch]],
    *,
    batch_size: int,
    pad_id: int,
    progress: Progress = SILENT,
) -> InMemory:
    """Average the gradient of the target's margin over the way from the suspect towards the reference.

    Args:
        loaded: A model of its own, on the device, in evaluation mode; it is left at the last point of the way.
        pair: Suspect and reference; the names of ``loaded`` are those of the suspect.
        driven: For each trigger its parts, at least one, each with at least one row. The mean over triggers is taken
            of the sum over parts, each of which is a mean over its rows.
        batch_size: Rows per pass.
        pad_id: Token id of the padding.
        progress: Told of every pass.

    Returns:
        float32 on the CPU, in nats per unit of weight, with the names and shapes of the comparable dimensions; 0 for
        tensors that the task does not reach.

    Raises:
        NonFiniteWeights: If a gradient is not a number.
    """
    parameters = dict(loaded.module.named_parameters())
    wanted = {name: parameters[own] for own, name in loaded.names.items() if name in pair.suspect_part.specs}
    for parameter in parameters.values():
        parameter.requires_grad_(False)
    for parameter in wanted.values():
        parameter.requires_grad_(True)
        parameter.grad = None
    steps = [
        ((place + 0.5) * REACH / POINTS, one, batch)
        for place in range(POINTS)
        for parts in driven
        for one in parts
        for batch in batches(one.rows, batch_size=batch_size, pad_id=pad_id)
    ]
    device, stands = next(iter(parameters.values())).device, 0.0
    for alpha, one, batch in progress.track(steps, "gradients along the way", total=len(steps)):
        if alpha != stands:
            _move(wanted, pair, alpha)
            stands = alpha
        share = one.margin(loaded.module, batch.to(device)).sum()
        (share / (len(one.rows) * len(driven) * POINTS)).backward()
    found = {}
    for name, spec in pair.suspect_part.specs.items():
        held = wanted[name].grad if name in wanted else None
        # Of a resized vocabulary only the common rows, which come first, are comparable.
        found[name] = torch.zeros(spec.shape) if held is None else held.narrow(0, 0, spec.shape[0]).cpu().clone()
        if not bool(torch.isfinite(found[name]).all()):
            raise NonFiniteWeights(
                f"the gradient of {name} is not a number under a found trigger",
                hint="Use --method fine-purifying, which does without.",
            )
    return InMemory(found)


def _move(wanted: dict[str, torch.nn.Parameter], pair: CheckpointPair, alpha: float) -> None:
    """Put the comparable dimensions at w + α·(w0 − w); piece by piece, so that nothing is held twice."""
    with torch.no_grad():
        for name, start, suspect in chunks(pair.suspect_part):
            if name not in wanted:
                continue
            stop = start + suspect.numel()
            here = suspect.float().lerp_(pair.reference_part.read(name, start, stop).float(), alpha)
            wanted[name].view(-1)[start:stop].copy_(here)
