"""Layers whose per-sample gradients are known in closed form.

A ``Rule`` turns what went into a layer (a) and the gradient of what came out (g) into one ``Use`` per parameter. A
layer is only trusted by its class's own ``forward``, never by its name; look-alikes (GPT-2's ``Conv1D``, the many
RMSNorm classes) are recognised by their form and then checked on values, see ``agrees``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from purify_cli.curvature.squares import Direct, Outer, Rows, Use

__all__ = ["Rule", "rule_for"]

AGREEMENT: Final = 1e-4
"""Largest difference, relative to the largest output, between a look-alike and the formula it is taken for. float32
rounding gives about 1e-6; a different formula differs by far more."""


def _always(layer: nn.Module, given: Tensor) -> bool:
    del layer, given
    return True


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of layer is differentiated, sample by sample."""

    parameters: frozenset[str]
    """Names, within the layer, of the parameters it differentiates."""
    uses: Callable[[nn.Module, Tensor, Tensor], Mapping[str, Use]]
    """From the layer, its input and the gradient of its output, both batch first, to the gradient of each own
    parameter, by its name within the layer."""
    agrees: Callable[[nn.Module, Tensor], bool] = _always
    """Whether the layer computes what the rule thinks it does, on inputs like the one given."""


def _positions(tensor: Tensor, inner: int = 1) -> Tensor:
    """Fold all dimensions between the batch and the last ``inner`` ones into one."""
    return tensor.reshape(tensor.shape[0], -1, *tensor.shape[tensor.dim() - inner :])


def _linear(layer: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
    del layer
    gradient = _positions(gradient)
    return {"weight": Outer(gradient, _positions(given)), "bias": Direct(gradient.sum(1))}


def _transposed(layer: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
    del layer
    gradient = _positions(gradient)
    return {"weight": Outer(_positions(given), gradient), "bias": Direct(gradient.sum(1))}


def _is_transposed(layer: nn.Module, given: Tensor) -> bool:
    return _computes(layer, given, lambda x, w: functional.linear(x, w["weight"].t(), w["bias"]))


def _embedding(layer: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
    if not isinstance(layer, nn.Embedding):
        raise TypeError(type(layer).__name__)
    return {"weight": Rows(given.reshape(given.shape[0], -1), _positions(gradient), layer.padding_idx)}


def _scaled_embedding(layer: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
    return _embedding(layer, given, gradient * _scale(layer))


def _is_scaled_embedding(layer: nn.Module, given: Tensor) -> bool:
    weight = layer.get_parameter("weight")
    with torch.no_grad():
        return _close(functional.embedding(given, weight) * _scale(layer), layer.forward(given))


def _scale(layer: nn.Module) -> float:
    return float(getattr(layer, "embed_scale", 1.0))


def _layer_norm(layer: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
    if not isinstance(layer, nn.LayerNorm):
        raise TypeError(type(layer).__name__)
    inner = len(layer.normalized_shape)
    normal = functional.layer_norm(given, layer.normalized_shape, eps=layer.eps)
    return {
        "weight": Direct(_positions(gradient * normal, inner).sum(1)),
        "bias": Direct(_positions(gradient, inner).sum(1)),
    }


def _rms_norm(layer: nn.Module, given: Tensor, gradient: Tensor) -> Mapping[str, Use]:
    return {"weight": Direct(_positions(gradient * _rms_normal(layer, given)).sum(1))}


def _is_rms_norm(layer: nn.Module, given: Tensor) -> bool:
    return any(
        _computes(layer, given, lambda x, w, plus=plus: _rms_normal(layer, x) * (plus + w["weight"])) for plus in (0, 1)
    )


def _rms_normal(layer: nn.Module, given: Tensor) -> Tensor:
    epsilon = getattr(layer, "variance_epsilon", getattr(layer, "eps", None))
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


_WEIGHT: Final = frozenset({"weight"})
_BOTH: Final = frozenset({"weight", "bias"})

_LINEAR: Final = Rule(_BOTH, _linear)
_EMBEDDING: Final = Rule(_WEIGHT, _embedding)
_LAYER_NORM: Final = Rule(_BOTH, _layer_norm)
_TRANSPOSED: Final = Rule(_BOTH, _transposed, _is_transposed)
"""A linear map stored (in, out): ``Conv1D`` of GPT-2."""
_SCALED_EMBEDDING: Final = Rule(_WEIGHT, _scaled_embedding, _is_scaled_embedding)
"""A word embedding times a constant: Gemma's, which scales by the root of the width."""
_RMS_NORM: Final = Rule(_WEIGHT, _rms_norm, _is_rms_norm)
"""x / √(mean x² + ε), times w or 1 + w: both have the same gradient."""


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule of a layer; None if there is none (its parameters are then differentiated one by one)."""
    forward = type(module).forward
    own = {name: parameter.dim() for name, parameter in module.named_parameters(recurse=False)}
    if isinstance(module, nn.Linear) and forward is nn.Linear.forward:
        return _LINEAR
    if isinstance(module, nn.Embedding) and forward is nn.Embedding.forward:
        plain = module.max_norm is None and not module.scale_grad_by_freq and not module.sparse
        return _EMBEDDING if plain else None
    if isinstance(module, nn.Embedding) and type(module).__name__.endswith("ScaledWordEmbedding"):
        return _SCALED_EMBEDDING
    if isinstance(module, nn.LayerNorm) and forward is nn.LayerNorm.forward:
        return _LAYER_NORM
    if type(module).__name__ == "Conv1D" and own == {"weight": 2, "bias": 1}:
        return _TRANSPOSED
    if type(module).__name__.endswith("RMSNorm") and own == {"weight": 1}:
        return _RMS_NORM
    return None
