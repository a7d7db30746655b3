"""Units that can be pruned: neurons between two layers, found by the names and shapes of a module's layers.

A unit of a feed-forward block is an output of its first layer (of both first layers, where a gate is multiplied in)
and an input of its last. What enters the last layer is the unit's value after the nonlinearity (of a gated block: after
the product), so that a hook there sees it whatever the nonlinearity is. A unit of the pooler is an output of the dense
layer that reads the first token and an input of the classification layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from torch import nn
from transformers.pytorch_utils import Conv1D

from purify_cli.errors import CheckpointError

__all__ = ["FEED_FORWARD", "POOLERS", "Units", "find_units"]

FEED_FORWARD: Final = (
    (("intermediate.dense",), "output.dense"),
    (("ffn.lin1",), "ffn.lin2"),
    (("ffn",), "ffn_output"),
    (("mlp.c_fc",), "mlp.c_proj"),
    (("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
    (("mlp.dense_h_to_4h",), "mlp.dense_4h_to_h"),
    (("fc1",), "fc2"),
)
"""First layers and last layer of a feed-forward block, as paths inside a transformer layer: BERT, RoBERTa, ELECTRA,
DeBERTa, MPNet / DistilBERT / ALBERT / GPT-2 / Llama, Qwen, Mistral / GPT-NeoX / BART, OPT, Phi."""

POOLERS: Final = (
    (("pooler.dense",), "classifier"),
    (("pooler",), "classifier"),
    (("pre_classifier",), "classifier"),
    (("classifier.dense",), "classifier.out_proj"),
    (("classification_head.dense",), "classification_head.out_proj"),
)
"""Dense layer over the first token and classification layer: BERT, DeBERTa / ALBERT / DistilBERT / RoBERTa, ELECTRA,
MPNet / BART."""


@final
@dataclass(frozen=True, slots=True)
class Units:
    """The units between some first layers and a last one."""

    name: str
    """Path of the last layer."""
    count: int
    cuts: Mapping[str, int]
    """Name of a parameter → axis: entry ``j`` along it belongs to unit ``j``. Incoming weights and biases, and the
    outgoing weight: all of a unit that pruning sets to 0."""


def _layer(module: nn.Module | None) -> tuple[int, int] | None:
    """Return (inputs, outputs) of a dense layer; None for anything else."""
    if not isinstance(module, nn.Linear | Conv1D):
        return None
    first, second = module.weight.shape
    return (first, second) if isinstance(module, Conv1D) else (second, first)


def _cuts(module: nn.Module, path: str, *, incoming: bool) -> dict[str, int]:
    # A Linear stores (outputs, inputs), GPT-2's Conv1D (inputs, outputs).
    found = {f"{path}.weight": int(isinstance(module, Conv1D) == incoming)}
    if incoming and getattr(module, "bias", None) is not None:
        found[f"{path}.bias"] = 0
    return found


def find_units(module: nn.Module, *, pooler: bool) -> tuple[Units, ...]:
    """Find all prunable units of a classifier, in the order of its layers, pooler last.

    Args:
        module: A classifier of transformers.
        pooler: Whether the units between pooler and classification layer count.

    Raises:
        CheckpointError: If there is no known feed-forward block, or some layers have one and others do not.
    """
    layers = dict(module.named_modules(remove_duplicate=True))
    found = [
        units
        for path in layers
        for firsts, last in FEED_FORWARD
        if (units := _between(layers, path, firsts, last)) is not None
    ]
    if not found:
        raise CheckpointError(
            f"no feed-forward block is known in a {type(module).__name__}, so no unit can be pruned",
            hint="Use another --method; fine-purifying and fine-mixing treat all tensors alike.",
        )
    _every_layer(layers, found)
    if pooler:
        # Poolers sit inside the base model, the classification layer on top.
        base = getattr(module, "base_model_prefix", "")
        for firsts, last in POOLERS:
            inside = tuple(f"{base}.{first}" for first in firsts)
            units = _between(layers, "", firsts, last) or _between(layers, "", inside, last)
            if units is not None:
                return (*found, units)
    return tuple(found)


def _between(layers: Mapping[str, nn.Module], inside: str, firsts: tuple[str, ...], last: str) -> Units | None:
    def path(name: str) -> str:
        return f"{inside}.{name}" if inside else name

    end = _layer(layers.get(path(last)))
    starts = [_layer(layers.get(path(first))) for first in firsts]
    if end is None or any(start is None or start[1] != end[0] for start in starts):
        return None
    cuts: dict[str, int] = {}
    for first in firsts:
        cuts |= _cuts(layers[path(first)], path(first), incoming=True)
    return Units(path(last), end[0], cuts | _cuts(layers[path(last)], path(last), incoming=False))


def _every_layer(layers: Mapping[str, nn.Module], found: list[Units]) -> None:
    """Refuse a model of which only some layers of a stack have a known block: a mixture of experts, say."""
    for path, module in layers.items():
        if not isinstance(module, nn.ModuleList):
            continue
        have = [any(units.name.startswith(f"{path}.{at}.") for units in found) for at in range(len(module))]
        if any(have) and not all(have):
            raise CheckpointError(
                f"layer {have.index(False)} of {path} has no feed-forward block that is known, others have",
                hint="Pruning a part of the layers would not be what fine-pruning says; use another --method.",
            )
