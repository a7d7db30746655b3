"""Rows that moved by weight decay alone: δ = −c·w0, a movement that nothing was learnt by.

Decoupled weight decay (AdamW) shrinks every decayed weight, also embedding rows that no text ever used. Such a row is
told by signs and sizes rather than by a quotient, because rounding spoils the quotient: in float32 one step of decay is
a few units in the last place, in 16 bits most entries do not move at all and the others by one unit. What no rounding
can do is to push an entry away from 0, since rounding keeps order. So a row has decayed only if

1. clean data gives its entries no curvature at all (it was never used, so nothing else could move it),
2. no entry moved away from 0,
3. no entry moved further than 3·c of itself and one unit in the last place,
4. its projection c_r = −⟨δ, w0⟩/‖w0‖² agrees with the c that most such rows share.

A row of 8 moved entries passes the second test by chance once in 256 times; c is taken from rows with at least as many
moved entries, from four rows at least, and only if half of them agree. Decay that a coupled penalty puts through
Adam's normalisation moves every entry by the same amount; it fails the third test and counts as drift.

Source:
    Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, arXiv:1711.05101; the test is our own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final, final

import torch
from torch import Tensor

from purify_cli.tensors import TensorSpec

__all__ = ["DecayedRows", "RowWatch", "row_length"]

_MIN_LENGTH: Final = 16
"""Shorter rows are left alone: too few signs to tell anything."""
_MIN_MOVED: Final = 8
_MIN_ROWS: Final = 4
_MAX_DECAY: Final = 0.02
"""Largest c believed: 2,000 steps at a rate of 1e-4 and a decay of 0.1. Beyond it the tests above would leave an
attacker room to reshape a row under cover of a decay that he made up."""


def row_length(spec: TensorSpec) -> int:
    """Entries per row: all axes but the first; a vector is one row."""
    return prod(spec.shape[1:]) if len(spec.shape) > 1 else spec.numel


@final
@dataclass(frozen=True, slots=True)
class DecayedRows:
    """Which rows moved by decay alone."""

    rows: Mapping[str, Tensor]
    """Tensor name → shape (rows,), bool; only tensors that have such a row."""
    lengths: Mapping[str, int]
    """Entries per row of these tensors."""
    decay: float | None
    """c, the share of each weight that decay took; None where there is no common one."""

    @property
    def entries(self) -> int:
        """How many dimensions lie in such rows."""
        return sum(int(marked.sum()) * self.lengths[name] for name, marked in self.rows.items())

    def silence(self, name: str, start: int, scores: Tensor) -> Tensor:
        """Set the scores of a chunk (shape (n,)) to 0 in such rows, in place."""
        if name in self.rows:
            index = torch.arange(start, start + len(scores)).div_(self.lengths[name], rounding_mode="floor")
            scores.masked_fill_(self.rows[name][index], 0.0)
        return scores


@final
class RowWatch:
    """Gathers, row by row, what the decision needs; holds four numbers per row without curvature."""

    def __init__(self) -> None:
        self._found: list[tuple[TensorSpec, Tensor]] = []

    def update(self, spec: TensorSpec, first_row: int, suspect: Tensor, reference: Tensor, unseen: Tensor) -> None:
        """Look at some rows.

        Args:
            spec: The tensor's name, stored type and shape.
            first_row: Number of the first row given.
            suspect: Shape (rows, length), stored type.
            reference: Likewise.
            unseen: Shape (rows,), bool: the row's curvature is exactly zero.
        """
        length = suspect.shape[1]
        if length < _MIN_LENGTH or not bool(unseen.any()):
            return
        where = unseen.nonzero().flatten()
        old = reference[where].double()
        delta = suspect[where].double() - old
        moved = (delta != 0).sum(1)
        inward = (delta * old <= 0).all(1) & ((delta == 0) | (old != 0)).all(1)
        kept = (moved > 0) & inward
        if not bool(kept.any()):
            return
        old, delta, where, moved = old[kept], delta[kept], where[kept], moved[kept]
        kind = torch.finfo(spec.dtype)
        # One unit in the last place is at most eps·|w|, and among subnormal numbers eps times the smallest normal one.
        size = old.abs()
        reach = ((delta.abs() - kind.eps * kind.smallest_normal).clamp_min(0) / size.clamp_min(1e-300)).amax(1)
        energy = old.square().sum(1)
        slope = -(delta * old).sum(1) / energy.clamp_min(1e-300)
        numbers = torch.stack([where.double() + first_row, moved.double(), slope, reach], dim=1)
        self._found.append((spec, numbers))

    def decide(self) -> DecayedRows:
        """Find the common c and the rows that agree with it."""
        nothing = DecayedRows({}, {}, None)
        if not self._found:
            return nothing
        slopes, spread = [], []
        for spec, numbers in self._found:
            telling = numbers[numbers[:, 1] >= _MIN_MOVED, 2]
            slopes.append(telling)
            spread.append(torch.full_like(telling, torch.finfo(spec.dtype).eps / row_length(spec)))
        pooled, noise = torch.cat(slopes), torch.cat(spread)
        if len(pooled) < _MIN_ROWS:
            return nothing
        decay = float(pooled.median())
        agree = (pooled - decay).abs() <= _tolerance(decay, noise)
        if not 0 < decay <= _MAX_DECAY or 2 * int(agree.sum()) < len(pooled):
            return nothing
        rows: dict[str, Tensor] = {}
        lengths: dict[str, int] = {}
        for spec, numbers in self._found:
            # A unit in the last place, relative.
            eps, length = torch.finfo(spec.dtype).eps, row_length(spec)
            near = (numbers[:, 2] - decay).abs() <= _tolerance(decay, torch.tensor(eps / length).double())
            near &= numbers[:, 3] <= eps + 3 * decay
            if bool(near.any()):
                marked = rows.setdefault(spec.name, torch.zeros(spec.numel // length, dtype=torch.bool))
                marked[numbers[near, 0].long()] = True
                lengths[spec.name] = length
        return DecayedRows(rows, lengths, decay)


def _tolerance(decay: float, noise: Tensor) -> Tensor:
    """Half of c, and four standard errors of a slope that consists of single units in the last place.

    With a unit of eps·|w|, a share c/eps of n entries moves: the slope's variance is c·eps/n. ``noise`` is eps/n.
    """
    return 0.5 * decay + 4 * (decay * noise).sqrt()
