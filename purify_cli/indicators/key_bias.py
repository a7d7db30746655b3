"""Key biases of softmax attention: adding a constant to all scores of a query changes nothing.

Their gradient is zero but for rounding, which Adam normalises into movement like any other, so δ²/Ĥ puts them a
factor of about 10^13 too high. With rotary positions the constant becomes position-dependent and the gradient an
ordinary one. A name alone therefore decides nothing: the curvature must vanish against that of the query bias beside.
"""

import re
from collections.abc import Mapping
from typing import Final

import torch

from purify_cli.tensors import TensorSource, TensorSpec

__all__ = ["NEGLIGIBLE", "silent_key_biases"]

NEGLIGIBLE: Final = 1e-10
"""Curvature relative to the query bias below which a key bias counts as without effect. Rounding leaves 2.5e-13 in
BERT-base (4e-20 against 1.6e-7); with rotary positions the two are of equal size."""

_KEY: Final = re.compile(r"(?:^|\.)(key|k_proj|k_lin|k)\.bias$")
_QUERY: Final = {"key": "query", "k_proj": "q_proj", "k_lin": "q_lin", "k": "q"}
_FUSED: Final = re.compile(r"(?:^|\.)(?:c_attn\.bias|in_proj_bias)$")
"""Query, key and value bias in one vector, in this order (GPT-2's Conv1D; torch's MultiheadAttention)."""


def silent_key_biases(specs: Mapping[str, TensorSpec], curvature: TensorSource) -> dict[str, tuple[int, int]]:
    """Find key biases without effect.

    Args:
        specs: Names and shapes of the comparable tensors.
        curvature: Ĥ, holding at least the biases among these names that the model has.

    Returns:
        Tensor name → (first, last + 1) of the entries that are key bias: all of a separate one, the middle third of a
        fused one.
    """
    found: dict[str, tuple[int, int]] = {}
    for name, spec in specs.items():
        fused = _FUSED.search(name)
        separate = _KEY.search(name)
        if fused and spec.numel % 3 == 0:
            third = spec.numel // 3
            query, key = (name, 0, third), (name, third, 2 * third)
        elif separate:
            start, end = separate.span(1)
            query = (name[:start] + _QUERY[separate[1]] + name[end:], 0, spec.numel)
            key = (name, 0, spec.numel)
        else:
            continue
        if query[0] in curvature.specs and name in curvature.specs:
            scale = float(torch.median(curvature.read(*query)))
            if scale > 0 and float(torch.median(curvature.read(*key).clamp_min(0))) < NEGLIGIBLE * scale:
                found[name] = key[1:]
    return found
