"""Layers whose per-sample gradients are known in closed form.

A ``Rule`` turns what went into a layer (a) and the gradient of what came out (g) into one ``Use`` per parameter. A
layer is only trusted by its class's own ``forward``, never by its name; look-alikes (GPT-2's ``Conv1D``, the many
RMSNorm classes) are recognised by their form and then checked on values, see ``agrees``.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from purify_cli.curvature.squares import Direct, Outer, Rows, Use

__all__ = ["Rule", "rule_for"]

AGREEMENT: Final = 1e-4
"""Largest difference, relative to the largest output, between a look-alike and the formula it is taken for. float32
rounding gives about 1e-6; a different formula differs by far more."""


@runtime_checkable
class Rule(Protocol):
    """How one kind of layer is differentiated, sample by sample."""

    parameters: ClassVar[frozenset[str]]
    """Names, within the layer, of the parameters it differentiates."""

    def agrees(self, module: nn.Module, given: Tensor) -> bool:
        """Tell whether the layer computes what the rule thinks it does, on inputs like the one given."""
        ...

    def uses(self, module: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
        """Return the gradient of each own parameter.

        Args:
            module: The layer.
            given: Its input, batch first.
            gradient: Gradient of its output, batch first.

        Returns:
            Parameter name within the layer → its gradient.
        """
        ...


def _positions(tensor: Tensor, inner: int = 1) -> Tensor:
    """Fold all dimensions between the batch and the last ``inner`` ones into one."""
    return tensor.reshape(tensor.shape[0], -1, *tensor.shape[tensor.dim() - inner :])


@final
class _Linear:
    parameters: ClassVar[frozenset[str]] = frozenset({"weight", "bias"})

    def agrees(self, module: nn.Module, given: Tensor) -> bool:
        del module, given
        return True

    def uses(self, module: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
        del module
        gradient = _positions(gradient)
        return {"weight": Outer(gradient, _positions(given)), "bias": Direct(gradient.sum(1))}


@final
class _Transposed:
    """A linear map stored (in, out): ``Conv1D`` of GPT-2."""

    parameters: ClassVar[frozenset[str]] = frozenset({"weight", "bias"})

    def agrees(self, module: nn.Module, given: Tensor) -> bool:
        return _computes(module, given, lambda x, w: functional.linear(x, w["weight"].t(), w["bias"]))

    def uses(self, module: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
        del module
        gradient = _positions(gradient)
        return {"weight": Outer(_positions(given), gradient), "bias": Direct(gradient.sum(1))}


@final
class _Embedding:
    parameters: ClassVar[frozenset[str]] = frozenset({"weight"})

    def agrees(self, module: nn.Module, given: Tensor) -> bool:
        del module, given
        return True

    def uses(self, module: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
        if not isinstance(module, nn.Embedding):
            raise TypeError(type(module).__name__)
        return {"weight": Rows(given.reshape(given.shape[0], -1), _positions(gradient), module.padding_idx)}


@final
class _ScaledEmbedding:
    """A word embedding times a constant: Gemma's, which scales by the root of the width."""

    parameters: ClassVar[frozenset[str]] = frozenset({"weight"})

    def agrees(self, module: nn.Module, given: Tensor) -> bool:
        weight = module.get_parameter("weight")
        with torch.no_grad():
            return _close(functional.embedding(given, weight) * _scale(module), module.forward(given))

    def uses(self, module: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
        return _Embedding().uses(module, given, gradient * _scale(module))


def _scale(module: nn.Module) -> float:
    return float(getattr(module, "embed_scale", 1.0))


@final
class _LayerNorm:
    parameters: ClassVar[frozenset[str]] = frozenset({"weight", "bias"})

    def agrees(self, module: nn.Module, given: Tensor) -> bool:
        del module, given
        return True

    def uses(self, module: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
        if not isinstance(module, nn.LayerNorm):
            raise TypeError(type(module).__name__)
        inner = len(module.normalized_shape)
        normal = functional.layer_norm(given, module.normalized_shape, eps=module.eps)
        return {
            "weight": Direct(_positions(gradient * normal, inner).sum(1)),
            "bias": Direct(_positions(gradient, inner).sum(1)),
        }


@final
class _RmsNorm:
    """x / √(mean x² + ε), times w or 1 + w: both have the same gradient."""

    parameters: ClassVar[frozenset[str]] = frozenset({"weight"})

    def agrees(self, module: nn.Module, given: Tensor) -> bool:
        return any(
            _computes(module, given, lambda x, w, plus=plus: self._normal(module, x) * (plus + w["weight"]))
            for plus in (0, 1)
        )

    def uses(self, module: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
        return {"weight": Direct(_positions(gradient * self._normal(module, given)).sum(1))}

    @staticmethod
    def _normal(module: nn.Module, given: Tensor) -> Tensor:
        epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        if epsilon is None:
            epsilon = torch.finfo(given.dtype).eps
        return given * torch.rsqrt(given.square().mean(-1, keepdim=True) + epsilon)


def _computes(module: nn.Module, given: Tensor, formula: Callable[[Tensor, Mapping[str, Tensor]], Tensor]) -> bool:
    """Compare a look-alike with a formula, on its input and on noise.

    With weights drawn at random: at the weights that a layer has, wrong formulas can agree by chance (w² = w at 1).
    """
    generator = torch.Generator().manual_seed(0)
    kept = dict(module.named_parameters(recurse=False))
    drawn = {n: torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p.device) for n, p in kept.items()}
    noise = torch.randn(given.shape, generator=generator, dtype=given.dtype).to(given.device)
    try:
        for name, tensor in drawn.items():
            setattr(module, name, nn.Parameter(tensor))
        with torch.no_grad():
            # forward, not the module itself: calling that would run hooks.
            return all(_close(formula(x, drawn), module.forward(x)) for x in (given, noise))
    finally:
        for name, parameter in kept.items():
            setattr(module, name, parameter)


def _close(expected: Tensor, output: Tensor) -> bool:
    return expected.shape == output.shape and bool(
        (expected - output).abs().max() <= AGREEMENT * output.abs().max().clamp(min=torch.finfo(output.dtype).tiny)
    )


_MATRIX: Final = 2


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule of a layer; None if there is none (its parameters are then differentiated one by one)."""
    forward = type(module).forward
    own = {name: parameter.dim() for name, parameter in module.named_parameters(recurse=False)}
    if isinstance(module, nn.Linear) and forward is nn.Linear.forward:
        return _Linear()
    if isinstance(module, nn.Embedding) and forward is nn.Embedding.forward:
        plain = module.max_norm is None and not module.scale_grad_by_freq and not module.sparse
        return _Embedding() if plain else None
    if isinstance(module, nn.Embedding) and type(module).__name__.endswith("ScaledWordEmbedding"):
        return _ScaledEmbedding()
    if isinstance(module, nn.LayerNorm) and forward is nn.LayerNorm.forward:
        return _LayerNorm()
    if type(module).__name__ == "Conv1D" and own == {"weight": _MATRIX, "bias": 1}:
        return _Transposed()
    if type(module).__name__.endswith("RMSNorm") and own == {"weight": 1}:
        return _RmsNorm()
    return None
