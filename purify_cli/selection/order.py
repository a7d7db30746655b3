"""Which of two dimensions is reset first: class, score, then a hash of tensor name and index.

The class and the score are one integer, the score's bit pattern read as unsigned (``purify_cli.protocols.Indicator``).
Equal scores are ordered by a hash with a fixed seed, larger first, so that ties spread over all tensors and neither
sharding nor chunking matters; entries whose hashes collide as well go by name and index, smaller first.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from purify_cli.runtime import entry_hash_at

__all__ = ["ABOVE_ALL", "LOWEST", "TIE_SEED", "sort_keys", "tie_hashes"]

TIE_SEED: Final = 0x70757269
"""Seed of the tie hash; any constant would do, and changing it changes every mask that has ties ("puri")."""

_SIGN: Final = np.int32(-(1 << 31))
LOWEST: Final = -(1 << 31)
"""Smallest sort key: that of a score of 0."""
ABOVE_ALL: Final = 0x7F800000
"""Larger than every sort key: infinity's bits in the class that ranks first, and infinity is no score."""


def sort_keys(scores: Tensor) -> np.ndarray:
    """Turn scores into integers that sort, signed, the way scores rank.

    Args:
        scores: Shape (n,), float32. Overwritten: the keys live in its memory.

    Returns:
        Shape (n,), int32.

    Raises:
        ValueError: If a score is NaN or infinite, or not float32; an indicator must never give one.
    """
    if scores.dtype != torch.float32:
        raise ValueError(f"scores are {scores.dtype}, not float32")
    values = scores.detach().cpu().contiguous().numpy()
    # Minimum and maximum carry NaN on, and are three times faster than asking each entry whether it is finite.
    if values.size and not (np.isfinite(values.max()) and np.isfinite(values.min())):
        raise ValueError("a score is NaN or infinite")
    keys = values.view(np.int32)
    keys ^= _SIGN
    return keys


def tie_hashes(name: str, indices: np.ndarray) -> np.ndarray:
    """Hash entries of a tensor for the order among equal scores.

    Args:
        name: The tensor's name.
        indices: Shape (k,), positions in the whole tensor.

    Returns:
        Shape (k,), int64.
    """
    return entry_hash_at(name, torch.from_numpy(indices.astype(np.int64)), seed=TIE_SEED).numpy()
