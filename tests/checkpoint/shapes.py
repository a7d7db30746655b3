"""Forms in which a model lies on a disk. Every law of reading and writing is tested on all of them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

CONFIG: dict[str, Any] = {"model_type": "bert", "hidden_size": 8, "vocab_size": 30, "num_hidden_layers": 2}


def bert(
    *, vocabulary: int = 30, width: int = 8, layers: int = 2, seed: int = 0, prefix: str = ""
) -> dict[str, Tensor]:
    """Tensors named like a small BERT's, without a head."""
    draw = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, width),
        "embeddings.position_embeddings.weight": (16, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for layer in range(layers):
        shapes[f"encoder.layer.{layer}.attention.self.query.weight"] = (width, width)
        shapes[f"encoder.layer.{layer}.intermediate.dense.weight"] = (2 * width, width)
        shapes[f"encoder.layer.{layer}.intermediate.dense.bias"] = (2 * width,)
    return {prefix + name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def classifier(labels: int = 2, **options: Any) -> dict[str, Tensor]:
    """The same under the prefix of a classifier, with its head."""
    body = bert(prefix="bert.", **options)
    width = body["bert.embeddings.LayerNorm.bias"].numel()
    return body | {"classifier.weight": torch.ones(labels, width), "classifier.bias": torch.zeros(labels)}


def save(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write one file with the format's own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    return path


def folder(path: Path, tensors: Mapping[str, Tensor], *, config: dict[str, Any] | None = None, shards: int = 1) -> Path:
    """Write a model folder, sharded with an index if asked for."""
    path.mkdir(parents=True, exist_ok=True)
    names = list(tensors)
    if shards == 1:
        save(path / "model.safetensors", tensors, {"format": "pt"})
    else:
        files = {
            name: f"model-{at * shards // len(names) + 1:05d}-of-{shards:05d}.safetensors"
            for at, name in enumerate(names)
        }
        for file in sorted(set(files.values())):
            save(path / file, {name: tensors[name] for name in names if files[name] == file}, {"format": "pt"})
        total = sum(tensor.nbytes for tensor in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": files}
        (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return path


def _mixed() -> dict[str, Tensor]:
    base = bert()
    types = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]
    mixed = {name: tensor.to(types[at % len(types)]) for at, (name, tensor) in enumerate(base.items())}
    whole = {f"whole.{t}".replace("torch.", ""): torch.arange(5).to(t) for t in (torch.int64, torch.int32, torch.int16)}
    small = {
        "whole.int8": torch.tensor([-1, 2], dtype=torch.int8),
        "whole.uint8": torch.tensor([1, 255], dtype=torch.uint8),
    }
    odd = {"flag": torch.tensor([True, False, True]), "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4)}
    return mixed | whole | small | odd


def _tied() -> dict[str, Tensor]:
    tensors = bert(prefix="bert.")
    return tensors | {"cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"].clone()}


def _special() -> dict[str, Tensor]:
    tensors = bert()
    flat = tensors["embeddings.word_embeddings.weight"].view(-1)
    flat[:4] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-42])
    return tensors


SHAPES: dict[str, Callable[[Path], Path]] = {
    "bare file": lambda path: save(path / "weights.safetensors", bert()),
    "file with metadata": lambda path: save(path / "weights.safetensors", bert(), {"format": "pt"}),
    "folder": lambda path: folder(path / "m", bert(), config=CONFIG),
    "classifier": lambda path: folder(path / "m", classifier(), config=CONFIG),
    "sharded": lambda path: folder(path / "m", bert(), config=CONFIG, shards=3),
    "half precision": lambda path: folder(path / "m", {n: t.bfloat16() for n, t in bert().items()}, config=CONFIG),
    "mixed types": lambda path: folder(path / "m", _mixed(), config=CONFIG),
    "sharded mixed types": lambda path: folder(path / "m", _mixed(), config=CONFIG, shards=4),
    "tied": lambda path: folder(path / "m", _tied(), config=CONFIG),
    "resized vocabulary": lambda path: folder(path / "m", bert(vocabulary=33), config=CONFIG | {"vocab_size": 33}),
    "special numbers": lambda path: folder(path / "m", _special(), config=CONFIG),
}
