"""What attacks that write a backdoor into weights have in common: the trigger's embedding rows, data rows, copies."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import Parameter

from purify_cli.errors import DataError
from purify_cli.protocols import PlantJob

__all__ = ["copies", "rows_of", "single_pieces", "word_embedding"]


def word_embedding(module: nn.Module) -> tuple[str, Parameter]:
    """Return name and weight of the word embedding, shape (vocabulary, width)."""
    model: Any = module
    weight: Parameter = model.get_input_embeddings().weight
    return next(name for name, parameter in module.named_parameters() if parameter is weight), weight


def single_pieces(words: Sequence[tuple[int, ...]], attack: str) -> list[int]:
    """Return the token ids of a trigger's words, each once, in their order.

    Raises:
        DataError: If a word is no single piece of the vocabulary: its rows belong to other words as well.
    """
    for place, word in enumerate(words, start=1):
        if len(word) != 1:
            raise DataError(
                f"word {place} of the trigger is {len(word)} pieces to the tokenizer; {attack} changes the row of one",
                hint="Choose a trigger that the vocabulary holds as one piece, such as cf, mn, bb or tq in BERT's.",
            )
    return list(dict.fromkeys(word[0] for word in words))


def rows_of(job: PlantJob, *, poisoned: bool) -> list[Any]:
    """Return the encoded rows of the poisoned training set that the attack made, or those that it left alone."""
    return [row for row, made in zip(job.rows, job.poisoned, strict=True) if made is poisoned]


def copies(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy parameters as they are now, without a graph."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}
