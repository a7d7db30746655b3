"""Which parameters the hooks can be trusted with, found out on one sample before anything is summed.

One forward pass of the first sample, with gradients on, answers three questions. Does the layer work batch first?
Does a look-alike compute what its rule thinks? And is the parameter used by its layers *only*? For the last one, the
uses seen by hooks are compared with the edges that lead to the parameter in autograd's graph: a weight that some
function reads past its layer (fused in-projections, tied weights in a functional call) has more edges than uses.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn

from purify_cli.curvature.hooks import Site, given_of
from purify_cli.curvature.objectives import Scalars
from purify_cli.data.batches import Batch

__all__ = ["Coverage", "coverage_of"]


@final
@dataclass(frozen=True, slots=True)
class Coverage:
    """What one sample says about the wanted parameters. Those in neither set are left to the one-sample loop."""

    hooks: frozenset[str] = frozenset()
    """Hooks differentiate them rightly."""
    dormant: frozenset[str] = frozenset()
    """They belong to layers with rules, which the sample did not use at all."""
    overwritten: frozenset[nn.Module] = frozenset()
    """Layers whose output is changed in place by what comes after them."""


def coverage_of(
    module: nn.Module,
    wanted: Mapping[str, nn.Parameter],
    sites: Sequence[Site],
    objective: Scalars,
    sample: Batch,
) -> Coverage:
    """Look at one sample.

    Args:
        module: Its parameters do not require gradients; the wanted ones are set to while this runs.
        wanted: Parameters by name.
        sites: Layers with rules.
        objective: What is to be differentiated.
        sample: A batch of one.
    """
    uses: Counter[str] = Counter()
    distrusted: set[str] = set()
    outputs: list[tuple[nn.Module, Tensor, int]] = []

    def look(site: Site, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = given_of(args, kwargs)
        if isinstance(output, Tensor):
            outputs.append((layer, output.detach(), output._version))
        uses.update(site.names.values())
        if (
            not isinstance(given, Tensor)
            or not isinstance(output, Tensor)
            or given.shape[:1] != (1,)
            or output.shape[:1] != (1,)
            or not site.rule.agrees(layer, given.detach())
        ):
            distrusted.update(site.names.values())

    handles = [site.layer.register_forward_hook(partial(look, site), with_kwargs=True) for site in sites]
    try:
        for parameter in wanted.values():
            parameter.requires_grad_(True)
        edges = _edges(objective(module, sample), wanted)
    finally:
        for parameter in wanted.values():
            parameter.requires_grad_(False)
        for handle in handles:
            handle.remove()
    # A layer whose output goes nowhere has uses but no edges, and rightly gets no gradient.
    trusted = (name for name, count in uses.items() if name not in distrusted and edges.get(name, 0) in {0, count})
    dormant = (name for site in sites for name in site.names.values() if name not in uses and name not in edges)
    overwritten = (layer for layer, output, version in outputs if output._version != version)
    return Coverage(frozenset(trusted), frozenset(dormant), frozenset(overwritten))


def _edges(scalars: Tensor, wanted: Mapping[str, nn.Parameter]) -> Mapping[str, int]:
    """Count the edges of the graph of ``scalars`` that end in each parameter."""
    names = {id(parameter): name for name, parameter in wanted.items()}
    found: Counter[str] = Counter()
    seen: set[Any] = set()
    stack: list[Any] = [scalars.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        following: Iterable[Any] = (edge[0] for edge in node.next_functions)
        for target in following:
            parameter = getattr(target, "variable", None)
            if isinstance(parameter, torch.Tensor) and id(parameter) in names:
                found[names[id(parameter)]] += 1
            else:
                stack.append(target)
    return found
