"""A first text through a model that was just built."""

import torch
from transformers import PreTrainedModel

from purify_cli.errors import CheckpointError
from purify_cli.model.tokenizer import reason

__all__ = ["require_forward"]


def require_forward(module: PreTrainedModel) -> None:
    """Compute a short text, so that a configuration that only fails there is refused before there is work to lose.

    Raises:
        CheckpointError: If a value of the configuration is not of the kind that the model needs.
    """
    words = module.get_input_embeddings().get_parameter("weight")
    end = getattr(module.config, "eos_token_id", None)  # encoder-decoders read the last one
    last = [end] if isinstance(end, int) and 0 <= end < words.shape[0] else []
    ids = [number for number in range(min(words.shape[0], 5)) if number not in last]
    try:
        with torch.no_grad():
            module(input_ids=torch.tensor([[*ids, *last]], device=words.device))
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the model that the config asks for cannot read a text: {reason(error)}",
            hint="Use the config.json that was published with the model.",
        ) from error
