"""A model in memory, of whatever task: where its weights come from, and how many tokens it can take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from torch import nn
from transformers import PreTrainedModel

from purify_cli.model.configs import LabelSet
from purify_cli.tensors import InMemory

__all__ = ["LoadedModel", "longest_of"]

TABLES: Final = ("position_embeddings", "embed_positions", "positions_embed", "wpe")
"""Last components of the names of position tables: encoders / OPT, BART, RoFormer / GPT / GPT-2."""


@final
@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A classifier or a causal language model in memory."""

    module: PreTrainedModel
    """Evaluation mode, float32, all parameters require gradients."""
    config: Mapping[str, Any]
    """The config.json that it was built from."""
    names: Mapping[str, str]
    """Parameter name → the checkpoint's name of the same tensor. Tied parameters appear once."""
    labels: LabelSet | None = None
    """Of a classifier; None of a language model."""

    @property
    def longest(self) -> int | None:
        """Tokens that the model can take; None if nothing says so."""
        return longest_of(self.module)

    @property
    def vocabulary(self) -> int:
        """Rows of the word embedding."""
        return self.module.get_input_embeddings().get_parameter("weight").shape[0]

    @property
    def weights(self) -> InMemory:
        """The module's weights under the checkpoint's names, on the CPU, without a copy where they are there."""
        parameters = dict(self.module.named_parameters())
        return InMemory({stored: parameters[name].detach().cpu() for name, stored in self.names.items()})


def longest_of(module: PreTrainedModel) -> int | None:
    """Return the number of tokens, special ones included, that a model can take.

    Learned positions end with their table: one more token is an error. Tables that begin with the rows of unused
    places (RoBERTa and its relatives: ``pad_token_id + 1`` rows; OPT and BART: 2) hold as many tokens less. Rotary and
    relative positions have no table, but beyond the number that their configuration declares the model was never
    trained; that number is returned for them.

    Returns:
        The limit; None if the model has no table and its configuration declares no number (ALiBi, T5, XLNet).
    """
    declared = getattr(module.config, "max_position_embeddings", None)
    limits = [declared] if isinstance(declared, int) and declared > 0 else []
    for name, table in module.named_modules():
        if isinstance(table, nn.Embedding) and name.endswith(TABLES):
            limits.append(table.num_embeddings - _unused(table))
    return min(limits, default=None)


def _unused(table: nn.Embedding) -> int:
    """Return how many rows come before that of the first token."""
    offset = getattr(table, "offset", None)
    if isinstance(offset, int):
        return offset
    return 0 if table.padding_idx is None else table.padding_idx + 1
