"""Key biases without effect: adding a constant to all scores of a query changes nothing.

A query q scores key j as q·(W x_j + b) = q·W x_j + q·b. The last term is the same for all j, and a softmax over j does
not change when a constant is added to all its inputs; so b has no effect, whatever else is added to the scores (masks,
ALiBi, biases of relative positions that do not come from the keys). It has one where positions rotate the keys, since
q·R_j b depends on j, and in DeBERTa, where keys meet the positions of queries (``p2c``).

The gradient of such a bias is zero but for rounding, which Adam normalises into movement like any other, so δ²/Ĥ puts
it a factor of about 10^13 too high. A name alone decides nothing: the curvature must vanish against that of the query
bias beside it. Where it vanishes in a part only (rotation of some dimensions), the bias is an ordinary one.
"""

import re
from collections.abc import Iterator, Mapping
from math import isqrt
from typing import Final

import torch
from torch import Tensor

from purify_cli.tensors import TensorSource, TensorSpec

__all__ = ["MATTERS", "NEGLIGIBLE", "Runs", "silent_key_biases"]

NEGLIGIBLE: Final = 1e-10
"""Median curvature relative to the query bias below which a key bias counts as without effect. Rounding leaves 2.5e-13
in BERT-base (4e-20 against 1.6e-7); with rotary positions the two are of equal size."""

MATTERS: Final = 1e-6
"""Relative curvature of a single entry from which on it has an effect, so that the whole bias is an ordinary one."""

LONGEST: Final = 1 << 20
"""Entries of a fused bias that is looked at; real ones have below 2^17."""

_QUERY: Final = {
    "key": "query",
    "key_global": "query_global",
    "key_proj": "query_proj",
    "pos_key_proj": "query_proj",
    "k_proj": "q_proj",
    "k_lin": "q_lin",
    "k": "q",
}
"""What models call the keys' layer → the queries' beside it."""
_KEY: Final = re.compile(rf"(?:^|\.)({'|'.join(_QUERY)})\.bias$")
_FUSED: Final = re.compile(
    r"(?:^|\.)(?:c_attn\.bias|in_proj_bias|query_key_value\.bias|Wqkv\.bias|qkv_proj\.bias|qkv\.bias)$"
)
"""Query, key and value bias in one vector: one after the other (GPT-2, torch's MultiheadAttention) or head by head
(Bloom, Falcon, GPT-BigCode)."""

Runs = tuple[tuple[int, int], ...]
"""(first, last + 1) of runs of entries, ascending."""


def silent_key_biases(specs: Mapping[str, TensorSpec], curvature: TensorSource) -> dict[str, Runs]:
    """Find key biases without effect.

    Args:
        specs: Names and shapes of the comparable tensors.
        curvature: Ĥ, holding at least the biases among these names that the model has.

    Returns:
        Tensor name → the entries that are key bias: all of a separate one, a third of a fused one.
    """
    found: dict[str, Runs] = {}
    for name, spec in specs.items():
        if name not in curvature.specs:
            continue
        if _FUSED.search(name):
            if runs := _fused(curvature.read(name, 0, spec.numel).clamp_min(0)):
                found[name] = runs
        elif separate := _KEY.search(name):
            start, end = separate.span(1)
            query = name[:start] + _QUERY[separate[1]] + name[end:]
            if query in curvature.specs and _is_silent(
                curvature.read(name, 0, spec.numel).clamp_min(0), curvature.read(query, 0, spec.numel)
            ):
                found[name] = ((0, spec.numel),)
    return found


def _is_silent(key: Tensor, query: Tensor) -> bool:
    if not key.numel() or not query.numel():
        return False
    scale = float(torch.median(query))
    return scale > 0 and float(torch.median(key)) < NEGLIGIBLE * scale and float(key.max()) < MATTERS * scale


def _fused(bent: Tensor) -> Runs:
    """Return the key's part of a fused bias, empty if it has an effect.

    The number of heads is not known here, and only one layout has nothing but rounding in the key's place: the one
    whose largest entry there is smallest.
    """
    best = min(_layouts(bent.numel()), key=lambda width: float(_parts(bent, width)[:, 1].max()), default=None)
    if best is None or not _is_silent(_parts(bent, best)[:, 1].reshape(-1), _parts(bent, best)[:, 0].reshape(-1)):
        return ()
    return tuple((first + best, first + 2 * best) for first in range(0, bent.numel(), 3 * best))


def _layouts(numel: int) -> Iterator[int]:
    """Yield the widths of a head for which query, key and value fill a vector head by head."""
    if numel % 3 or numel > LONGEST:
        return
    third = numel // 3
    # One head of all entries is the layout of one part after the other.
    for heads in range(1, isqrt(third) + 1):
        if third % heads == 0:
            yield third // heads
            yield heads


def _parts(bent: Tensor, width: int) -> Tensor:
    """View a vector as (heads, 3, width)."""
    return bent.view(-1, 3, width)
