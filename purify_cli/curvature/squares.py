"""Sums over samples of squared per-sample gradients, for the three forms that a gradient has.

A parameter's gradient for one sample is a sum over positions p, and must be summed *before* it is squared:

- ``Outer``: Σ_p left_pᵀ right_p, the weight of a linear map (R × C);
- ``Rows``: rows picked by token id, the weight of an embedding;
- ``Direct``: the gradient itself, for biases and scales.

Cost of ``Outer`` for a batch of B samples with T positions: 2·B·T·R·C operations, as many as the ordinary gradient
of the batch takes, plus 4·B·R·C for squaring, adding and norms. The B gradients are never held: rows are worked
through in blocks of 1 MiB, for all samples in turn, so that a block of the gradient and of the sum stay in the
second-level cache. Memory traffic is then left, right (re-read once per block), and the sum once per *batch*
(8·R·C bytes), instead of 16·R·C bytes per *sample*.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

__all__ = ["Direct", "Outer", "Rows", "Use", "add_squares"]

BLOCK: Final = 1 << 18
"""Entries of a gradient block on a CPU (1 MiB of float32). Block and sum together fill 2 MiB, one core's second-level
cache on current server chips; from 128 Ki to 1 Mi entries the time hardly differs."""

DEVICE_BLOCK: Final = 1 << 26
"""Entries of all samples' gradient blocks together on an accelerator (256 MiB of float32): large enough to fill it,
small beside a model's activations."""


@final
@dataclass(frozen=True, slots=True)
class Outer:
    """Gradient Σ_p left_pᵀ right_p of a matrix."""

    left: Tensor
    """(B, P, R)"""
    right: Tensor
    """(B, P, C)"""

    def add(self, sample: int, into: Tensor) -> None:
        """Add one sample's gradient to an (R, C) tensor."""
        into.addmm_(self.left[sample].t(), self.right[sample])


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """Gradient of a table of which rows were looked up."""

    ids: Tensor
    """(B, P) int64: row of each position."""
    gradient: Tensor
    """(B, P, C)"""
    padding: int | None
    """Row that never gets a gradient (``padding_idx``)."""

    def add(self, sample: int, into: Tensor) -> None:
        """Add one sample's gradient to an (R, C) tensor."""
        gradient = self.gradient[sample]
        if self.padding is not None:
            gradient = gradient * (self.ids[sample] != self.padding).unsqueeze(1)
        into.index_add_(0, self.ids[sample], gradient)


@final
@dataclass(frozen=True, slots=True)
class Direct:
    """A gradient that is small enough to hold for every sample."""

    gradient: Tensor
    """(B, *shape)"""

    def add(self, sample: int, into: Tensor) -> None:
        """Add one sample's gradient to a tensor of the parameter's shape."""
        into.add_(self.gradient[sample])


Use = Outer | Rows | Direct
"""What one use of a parameter in a forward pass contributes to its gradient."""


def add_squares(total: Tensor, norms: Tensor, uses: Sequence[Use]) -> None:
    """Add Σ_s (Σ_uses gradient_s)² to ``total``, and each sample's squared norm to ``norms``.

    Several uses of one parameter (tied weights, a layer applied repeatedly) are added before squaring: the cross
    terms belong to the gradient.

    Args:
        total: The parameter's shape, contiguous; changed in place.
        norms: (B,), changed in place.
        uses: At least one.
    """
    outers = [use for use in uses if isinstance(use, Outer)]
    rows = [use for use in uses if isinstance(use, Rows)]
    if len(outers) == len(uses):
        _add_outer(total, norms, _cat([o.left for o in outers]), _cat([o.right for o in outers]))
    elif len(rows) == len(uses) and len({use.padding for use in rows}) == 1:
        _add_rows(total, norms, _cat([r.ids for r in rows]), _cat([r.gradient for r in rows]), rows[0].padding)
    elif not outers and not rows:
        squares = torch.stack([use.gradient for use in uses if isinstance(use, Direct)]).sum(0).square_()
        total.add_(squares.sum(0))
        norms.add_(squares.flatten(1).sum(1))
    else:
        _add_mixed(total, norms, uses)


def _cat(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


def _add_mixed(total: Tensor, norms: Tensor, uses: Sequence[Use]) -> None:
    gradient = torch.empty_like(total)
    for sample in range(len(norms)):
        gradient.zero_()
        for use in uses:
            use.add(sample, gradient)
        total.addcmul_(gradient, gradient)
        norms[sample] += gradient.square_().sum()


def _add_outer(total: Tensor, norms: Tensor, left: Tensor, right: Tensor) -> None:
    size, positions, height = left.shape
    width = right.shape[2]
    if positions == 1:
        # One position per sample: the square of an outer product is the outer product of the squares.
        left, right = left[:, 0].square(), right[:, 0].square()
        total.addmm_(left.t(), right)
        norms.add_(left.sum(1) * right.sum(1))
    elif total.device.type != "cpu" or size * height * width <= BLOCK:
        limit = BLOCK if total.device.type == "cpu" else DEVICE_BLOCK
        step = max(1, min(height, limit // (size * width)))
        for low in range(0, height, step):
            block = torch.bmm(left[:, :, low : low + step].transpose(1, 2), right).square_()
            total[low : low + step].add_(block.sum(0))
            norms.add_(block.flatten(1).sum(1))
    else:
        _add_outer_blocked(total, norms, left, right)


def _add_outer_blocked(total: Tensor, norms: Tensor, left: Tensor, right: Tensor) -> None:
    height, width = total.shape
    blocks = -(-height * width // BLOCK)
    # Rows in multiples of 16, which fill vector registers.
    step = min(height, -(-height // (blocks * 16)) * 16)
    scratch = torch.empty(step * width, dtype=total.dtype)
    # One transposing copy of all left sides costs T·R per sample and saves as much as it costs in every block.
    lefts = left.transpose(1, 2).contiguous().unbind()
    rights = right.unbind()
    found: list[list[Tensor]] = [[] for _ in rights]
    for low in range(0, height, step):
        target = total[low : low + step]
        flat = scratch[: target.numel()]
        block = flat.view_as(target)
        for sample, other in enumerate(rights):
            torch.mm(lefts[sample][low : low + step], other, out=block)
            target.addcmul_(block, block)
            found[sample].append(torch.dot(flat, flat))
    norms.add_(torch.stack([torch.stack(parts).sum() for parts in found]))


def _add_rows(total: Tensor, norms: Tensor, ids: Tensor, gradient: Tensor, padding: int | None) -> None:
    # Positions of the same id in the same sample are one group; a key that joins sample and id finds the groups.
    height, width = total.shape
    size = len(norms)
    keys = torch.arange(size, device=ids.device).unsqueeze(1) * height + ids
    groups, place = torch.unique(keys, return_inverse=True)
    summed = torch.zeros(len(groups), width, dtype=total.dtype, device=total.device)
    summed.index_add_(0, place.reshape(-1), gradient.reshape(-1, width)).square_()
    row = groups % height
    if padding is not None:
        summed.mul_((row != padding).unsqueeze(1))
    total.index_add_(0, row, summed)
    norms.index_add_(0, groups // height, summed.sum(1))
