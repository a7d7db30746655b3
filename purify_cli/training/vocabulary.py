"""Train only the embedding rows that the texts can reach.

The gradient of a word embedding is dense, though a few dozen clean samples touch some hundred of its 30,000 rows. Rows
that are never touched get no gradient, and without weight decay AdamW leaves them bit for bit as they are: so they are
taken out for the time of the training, and no step fills, clips or updates them. On MiniLM (half of its parameters are
the word embedding) that is what most of a short step was spent on.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from purify_cli.data.batches import Encoded

__all__ = ["reachable_rows_only"]


@final
class _Rows(nn.Module):
    """Some rows of an embedding, addressed by the token ids of all of them."""

    place: Tensor
    """(rows of the whole,) int64: token id → row of the part, -1 where it is left out."""

    def __init__(self, whole: nn.Embedding, rows: Tensor) -> None:
        super().__init__()
        place = torch.full((whole.num_embeddings,), -1, dtype=torch.int64, device=rows.device)
        place[rows] = torch.arange(len(rows), device=rows.device)
        self.register_buffer("place", place, persistent=False)
        self.weight = nn.Parameter(whole.weight.detach()[rows])
        # The row of the padding token gets no gradient, in part as in whole.
        self.padding = None if whole.padding_idx is None else int(place[whole.padding_idx])

    def forward(self, ids: Tensor) -> Tensor:
        """Embed token ids of the whole vocabulary; one whose row is missing raises IndexError."""
        return embedding(self.place[ids], self.weight, padding_idx=self.padding)


@contextmanager
def reachable_rows_only(module: nn.Module, *texts: Sequence[Encoded], pad_id: int) -> Generator[None]:
    """Shrink the word embedding to the rows that texts and padding need; put trained rows back at the end.

    Nothing is done where the embedding is no plain trainable ``nn.Embedding``, or shares its weight with the output:
    there every row has a gradient.

    Args:
        module: A transformers model.
        texts: All rows that the module is going to see.
        pad_id: Token id of the padding.
    """
    model: Any = module
    whole = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    if type(whole) is not nn.Embedding or not _apart(module, whole):
        yield
        return
    ids = {pad_id, *(token for rows in texts for row in rows for token in row.ids)}
    if whole.padding_idx is not None:
        ids.add(whole.padding_idx)
    rows = torch.tensor(sorted(i for i in ids if 0 <= i < whole.num_embeddings), device=whole.weight.device)
    part = _Rows(whole, rows)
    model.set_input_embeddings(part)
    try:
        yield
    finally:
        model.set_input_embeddings(whole)
        with torch.no_grad():
            whole.weight[rows] = part.weight.to(whole.weight.device)


def _apart(module: nn.Module, whole: nn.Embedding) -> bool:
    """Whether the embedding is trained in the plain way and nothing else uses its weight."""
    if not whole.weight.requires_grad or whole.max_norm is not None or whole.scale_grad_by_freq or whole.sparse:
        return False
    owners = [child for child in module.modules() for own in child.parameters(recurse=False) if own is whole.weight]
    return len(owners) == 1
