"""How many tokens a model can take: what its position table holds."""

from typing import Final

from torch import nn
from transformers import PreTrainedModel

__all__ = ["longest_of"]

TABLES: Final = ("position_embeddings", "embed_positions", "positions_embed", "wpe")
"""Last components of the names of position tables: encoders / OPT, BART, RoFormer / GPT / GPT-2."""


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
