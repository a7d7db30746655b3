"""A model in memory, of whatever task, and where its weights come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from transformers import PreTrainedModel

from purify_cli.model.configs import LabelSet
from purify_cli.model.lengths import longest_of
from purify_cli.tensors import InMemory

__all__ = ["LoadedModel"]


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
