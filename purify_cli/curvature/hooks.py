"""Per-sample gradients caught by hooks during one ordinary batched backward pass.

Parameters do not require gradients while this runs, so autograd computes gradients of activations only; the weight
gradients, which are needed per sample, are taken from each layer's input and output gradient as the backward pass
comes by. A zero that requires gradients (the anchor) is added to the output of the first wanted layers, so that there
is a graph at all.

Operations per batch: 2 (forward) + 2 (activation gradients) + 2 (per-sample weight gradients) per weight and
position, as many as plain training takes. Memory: the activations that plain training holds, less what has been used.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, final

import torch
from torch import Tensor, nn

from purify_cli.curvature.layers import Rule, rule_for
from purify_cli.curvature.squares import Use, add_squares

__all__ = ["Site", "Tape", "given_of", "sites_of"]


@final
@dataclass(frozen=True, slots=True)
class Site:
    """A layer with a rule."""

    layer: nn.Module
    rule: Rule
    names: Mapping[str, str]
    """Name within the layer → name in the module, for the wanted parameters that the rule covers."""


def sites_of(module: nn.Module, wanted: Mapping[str, nn.Parameter]) -> list[Site]:
    """Find the layers whose rule covers a wanted parameter. Tied parameters have one name at all their layers."""
    names = {id(parameter): name for name, parameter in wanted.items()}
    sites: list[Site] = []
    for layer in module.modules():
        rule = rule_for(layer)
        if rule is not None:
            own = layer.named_parameters(recurse=False, remove_duplicate=False)
            covered = {n: names[id(p)] for n, p in own if id(p) in names and n in rule.parameters}
            if covered:
                sites.append(Site(layer, rule, covered))
    return sites


def given_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return a layer's first input."""
    return args[0] if args else next(iter(kwargs.values()), None)


@final
class Tape:
    """Hooks on a module for one batch, whose forward pass comes within the context, and then ``backward``.

    Args:
        sites: Layers to watch.
        covered: Parameters to differentiate; others of the watched layers are reported if they are used.
        overwritten: Layers whose output is changed in place afterwards; that then happens to a copy.
        sums: Where squares go, by parameter.
        norms: (B,), receives each sample's squared gradient norm.
    """

    def __init__(
        self,
        sites: Iterable[Site],
        covered: frozenset[str],
        overwritten: frozenset[nn.Module],
        *,
        sums: Mapping[str, Tensor],
        norms: Tensor,
    ) -> None:
        self._sites, self._covered, self._overwritten = sites, covered, overwritten
        self._sums, self._norms = sums, norms
        self._anchor = torch.zeros((), dtype=norms.dtype, device=norms.device, requires_grad=True)
        self._handles: list[Any] = []
        self._expected: Counter[str] = Counter()
        """Uses of each parameter in the forward pass."""
        self._arrived: dict[str, list[Use]] = {}
        self._missed: set[str] = set()
        """Parameters that the batch used in a way the rules do not cover."""
        self._last = True

    def __enter__(self) -> "Tape":
        for site in self._sites:
            hook = partial(self._on_forward, site)
            self._handles.append(site.layer.register_forward_hook(hook, with_kwargs=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def backward(self, scalars: Tensor) -> frozenset[str]:
        """Differentiate the (B, M) scalars of the batch and add the squares.

        Returns:
            Parameters that this batch used in a way that the hooks cannot follow; nothing was added for these.
        """
        columns = scalars.unbind(1) if scalars.requires_grad else ()
        for number, column in enumerate(columns):
            self._last = number == len(columns) - 1
            # The sum, not the mean: a sample's gradient must not depend on who else is in the batch.
            torch.autograd.grad(column.sum(), self._anchor, retain_graph=not self._last, allow_unused=True)
            for name in list(self._arrived):
                self._add(name)
        return frozenset(self._missed)

    def _on_forward(
        self, site: Site, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        names = {own: name for own, name in site.names.items() if name in self._covered}
        self._missed.update(name for name in site.names.values() if name not in self._covered)
        if not names:
            return None
        given, size = given_of(args, kwargs), len(self._norms)
        if not isinstance(given, Tensor) or not isinstance(output, Tensor):
            self._missed.update(names.values())
            return None
        if isinstance(layer, nn.Embedding) and given.dim() == 2 and len(given) == 1 < size:
            # Position ids of shape (1, T) serve the whole batch, and their gradient would arrive already summed over
            # the batch. Spread out, every sample has its own.
            given, output = given.expand(size, -1), output.expand(size, *output.shape[1:])
        if given.shape[:1] != (size,) or output.shape[:1] != (size,):
            self._missed.update(names.values())
            return None
        if not output.requires_grad:
            output = output + self._anchor
        self._expected.update(names.values())
        output.register_hook(partial(self._on_gradient, site, names, [given.detach()], given._version))
        return output.clone() if layer in self._overwritten else output

    def _on_gradient(
        self, site: Site, names: Mapping[str, str], held: list[Tensor], version: int, gradient: Tensor
    ) -> None:
        # The last pass lets go of the layer's input, which the graph would keep until its end.
        given = held.pop() if self._last else held[0]
        if given._version != version:  # changed in place after the layer had read it
            self._missed.update(names.values())
            return
        uses = site.rule.uses(site.layer, given, gradient)
        for own, name in names.items():
            if name in self._missed:
                continue
            arrived = self._arrived.setdefault(name, [])
            arrived.append(uses[own])
            if len(arrived) == self._expected[name]:
                self._add(name)

    def _add(self, name: str) -> None:
        uses = self._arrived.pop(name)
        if name not in self._missed:
            add_squares(self._sums[name], self._norms, uses)
