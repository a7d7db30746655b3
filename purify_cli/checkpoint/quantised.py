"""Weights that are stored as codes, known by name, type and configuration: no code is ever taken for a weight."""

from collections.abc import Mapping
from typing import Any, Final

import torch

from purify_cli.checkpoint.names import is_known_buffer
from purify_cli.errors import CheckpointError
from purify_cli.tensors import TensorSpec

__all__ = ["refuse_quantised"]

MADE_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "bitsandbytes, 8 bit": ("SCB", "weight_format"),
    "bitsandbytes, 4 bit": (
        "absmax",
        "nested_absmax",
        "nested_quant_map",
        "quant_map",
        "bitsandbytes__fp4",
        "bitsandbytes__nf4",
    ),
    "GPTQ": ("g_idx",),
    "GPTQ or AWQ": ("qweight", "qzeros"),
    "HQQ": ("W_q",),
    "QuIP#": ("Qidxs",),
    "AQLM": ("codebooks",),
    "quanto": ("_data", "_packed", "_scale", "_shift"),
    "torchao": ("_qdata", "_weight_qdata", "weight_qdata"),
    "EETQ": ("weight_scales",),
    "fp8": ("activation_scale",),
    "fp8 or int8 with scales": ("input_scale", "weight_scale"),
    "fp8 in blocks": ("weight_scale_inv",),
    "nvfp4": ("weight_scale_2",),
    "compressed-tensors": ("weight_global_scale", "weight_packed", "weight_zero_point"),
    "torch.ao": ("_packed_params", "zero_point"),
}
"""What writes quantised weights → last components of tensors that only they have."""

FLAGS: Final = ("quantization_config", "compression_config")
"""Keys of config.json by which a loader quantises, or takes codes for what they are."""

SHORT: Final = frozenset(
    [torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32]  # what codes are packed into
)

MASK: Final = (1, 1)
"""Leading extents of a causal mask, which old decoders store as bytes."""

HINT: Final = (
    "Codes cannot be compared or tuned. Load it with transformers, call model.dequantize() and save_pretrained(), or "
    "take the model from before it was quantised."
)


def refuse_quantised(given: str, specs: Mapping[str, TensorSpec], config: Mapping[str, Any]) -> None:
    """Refuse a model of quantised weights, or one that asks to be quantised when it is loaded.

    Raises:
        CheckpointError: If its names, types or configuration say so.
    """
    for name, spec in specs.items():
        if found := _codes(spec):
            raise CheckpointError(f"{given} holds quantised weights: {name!r} ({found})", hint=HINT)
    for key in FLAGS:
        if (asked := config.get(key)) is not None:
            method = asked.get("quant_method") if isinstance(asked, dict) else None
            raise CheckpointError(
                f"the config.json of {given} says that its weights are quantised ({key}: {method!r:.40}), but it holds "
                "ordinary ones, so that what is loaded is not what is stored",
                hint=f"Where the weights were dequantised, take {key} out of config.json.",
            )


def _codes(spec: TensorSpec) -> str | None:
    """Say what makes a tensor one of codes or their scales, None if nothing does."""
    last = spec.name.replace(":", ".").rsplit(".", 1)[-1]
    if maker := next((maker for maker, names in MADE_BY.items() if last in names), None):
        return maker
    stored = f"stored as {str(spec.dtype).removeprefix('torch.')}"
    if spec.dtype.is_floating_point:
        return stored if spec.dtype.itemsize == 1 else None
    if is_known_buffer(spec) or spec.shape[:2] == MASK:
        return None
    # Buffers are positions, flags or masks; codes stand in the place of weights, or are matrices of short integers.
    short = spec.dtype in SHORT and len(spec.shape) > 1
    return stored if short or last.endswith(("weight", "bias", "gamma", "beta")) else None
