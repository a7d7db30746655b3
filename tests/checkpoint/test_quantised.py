from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purify_cli.checkpoint import open_checkpoint
from purify_cli.errors import CheckpointError
from tests.checkpoint.shapes import CONFIG, classifier, folder

MATRIX = "bert.encoder.layer.0.intermediate.dense.weight"
LAYER = MATRIX.removesuffix("weight")
CODES = torch.ones(16, 8, dtype=torch.int8)
BYTES = torch.ones(64, 1, dtype=torch.uint8)
SCALE = torch.ones(16)

CASES: dict[str, Callable[[], dict[str, Tensor]]] = {
    "bitsandbytes, 8 bit": lambda: {MATRIX: CODES, LAYER + "SCB": SCALE},
    "bitsandbytes, 8 bit, format": lambda: {LAYER + "weight_format": torch.tensor(0, dtype=torch.uint8)},
    "bitsandbytes, 4 bit": lambda: {MATRIX: BYTES, MATRIX + ".absmax": SCALE, MATRIX + ".quant_map": SCALE.clone()},
    "bitsandbytes, state": lambda: {MATRIX + ".quant_state.bitsandbytes__nf4": torch.ones(90, dtype=torch.uint8)},
    "8-bit integers alone": lambda: {MATRIX: CODES},
    "8-bit integers of one dimension": lambda: {MATRIX: CODES.view(-1)},
    "floats of 8 bits without scales": lambda: {MATRIX: SCALE.to(torch.float8_e4m3fn)},
    "floats of 8 bits, AMD's": lambda: {MATRIX: SCALE.to(torch.float8_e5m2fnuz)},
    "exponents": lambda: {LAYER + "scales": torch.ones(2, dtype=torch.float8_e8m0fnu)},
    "fp8 with scales": lambda: {MATRIX: torch.ones(16, 8).to(torch.float8_e4m3fn), LAYER + "weight_scale": SCALE},
    "fp8 in blocks": lambda: {LAYER + "weight_scale_inv": SCALE},
    "GPTQ": lambda: {LAYER + "qweight": torch.ones(1, 16, dtype=torch.int32), LAYER + "g_idx": torch.ones(8).int()},
    "AWQ": lambda: {LAYER + "qzeros": torch.ones(1, 2, dtype=torch.int32), LAYER + "scales": SCALE.half()},
    "HQQ": lambda: {LAYER + "W_q": BYTES, LAYER + "scale": SCALE, LAYER + "zero": SCALE.clone()},
    "quanto": lambda: {MATRIX + "._data": CODES, MATRIX + "._scale": SCALE},
    "torchao": lambda: {MATRIX + ":_data": CODES},
    "EETQ": lambda: {LAYER + "weight_scales": SCALE},
    "compressed-tensors": lambda: {LAYER + "weight_packed": torch.ones(16, 1, dtype=torch.int32)},
    "AQLM": lambda: {LAYER + "codes": torch.ones(4, 4, 1, dtype=torch.int16)},
    "mxfp4": lambda: {LAYER + "weight_blocks": torch.ones(2, 4, 16, dtype=torch.uint8)},
    "codes of 64 bits": lambda: {MATRIX: CODES.long()},
    "flags": lambda: {MATRIX: CODES.bool()},
    "a legacy spelling": lambda: {"bert.embeddings.LayerNorm.gamma": torch.ones(8, dtype=torch.int8)},
}


def without(tensors: dict[str, Tensor], change: dict[str, Tensor]) -> dict[str, Tensor]:
    kept = {name: tensor for name, tensor in tensors.items() if name != MATRIX or name in change}
    return kept | change


@pytest.mark.parametrize("case", CASES)
def test_quantised_weights_are_refused(case: str, tmp_path: Path) -> None:
    given = str(folder(tmp_path, without(classifier(), CASES[case]()), config=CONFIG))
    with pytest.raises(CheckpointError, match="holds quantised weights") as caught:
        open_checkpoint(given)
    assert "dequantize()" in caught.value.hint


def test_the_wrapper_hides_nothing(tmp_path: Path) -> None:
    tensors = without(classifier(), CASES["bitsandbytes, 8 bit"]())
    with pytest.raises(CheckpointError, match="quantised"):
        open_checkpoint(str(folder(tmp_path, {f"module.{n}": t for n, t in tensors.items()}, config=CONFIG)))


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
@pytest.mark.parametrize("asked", [{"quant_method": "bitsandbytes", "load_in_8bit": True}, {}, "int8"])
def test_a_config_that_quantises_ordinary_weights_is_refused(key: str, asked: Any, tmp_path: Path) -> None:
    given = str(folder(tmp_path, classifier(), config=CONFIG | {key: asked}))
    with pytest.raises(CheckpointError, match="what is loaded is not what is stored") as caught:
        open_checkpoint(given)
    assert f"take {key} out of config.json" in caught.value.hint


def test_ordinary_weights_and_buffers_are_no_codes(tmp_path: Path) -> None:
    tensors = classifier() | {
        "bert.embeddings.position_ids": torch.arange(16)[None],
        "bert.embeddings.token_type_ids": torch.zeros(1, 16, dtype=torch.int32),
        "transformer.h.0.attn.bias": torch.ones(1, 1, 8, 8, dtype=torch.uint8),
        "transformer.h.0.attn.attention.bias": torch.ones(1, 1, 8, 8, dtype=torch.bool),
        "bert.steps": torch.tensor(3),
        "bert.state": torch.ones(9, dtype=torch.uint8),
    }
    halved = {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    config = CONFIG | {"quantization_config": None}
    assert len(open_checkpoint(str(folder(tmp_path, halved, config=config))).specs) == len(tensors)
