"""The forward pass of a classifier on a batch."""

from inspect import signature
from typing import Any

from torch import Tensor, nn

from purify_cli.data.batches import Batch

__all__ = ["logits", "outputs"]


def logits(module: nn.Module, batch: Batch) -> Tensor:
    """Return the class scores of a batch, shape (B, C)."""
    return outputs(module, batch).logits


def outputs(module: nn.Module, batch: Batch, **asked: bool) -> Any:
    """Return what a classifier says of a batch: ``logits``, and what else is asked for.

    Args:
        module: On the device of the batch.
        batch: Rows.
        asked: Options of the forward pass, such as ``output_hidden_states``.
    """
    inputs = batch.inputs
    # DistributedDataParallel takes anything and hands it on to the model inside.
    model = getattr(module, "module", module)
    if "token_type_ids" in inputs and "token_type_ids" not in signature(model.forward).parameters:
        inputs = {name: tensor for name, tensor in inputs.items() if name != "token_type_ids"}
    return module(**inputs, **asked)
