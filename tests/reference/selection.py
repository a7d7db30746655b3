"""Selection in one sort over everything at once."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from purify_cli.runtime import entry_hash
from purify_cli.selection.order import TIE_SEED


def select(scores: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Return a flat boolean tensor per name: True for the round(ratio · d) entries that rank first."""
    order: list[tuple[int, int, str, int]] = []
    for name, tensor in scores.items():
        bits = tensor.reshape(-1).numpy().view(np.uint32)
        hashes = entry_hash(name, 0, tensor.numel(), seed=TIE_SEED)
        order += [(-int(b), -int(h), name, i) for i, (b, h) in enumerate(zip(bits, hashes, strict=True))]
    chosen = {name: torch.zeros(tensor.numel(), dtype=torch.bool) for name, tensor in scores.items()}
    for _, _, name, index in sorted(order)[: round(ratio * len(order))]:
        chosen[name][index] = True
    return chosen
