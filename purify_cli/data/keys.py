"""Random choices that belong to a row, not to a stream: the order in which rows are handled cannot change them."""

import hashlib

__all__ = ["row_key"]


def row_key(seed: int, row: int, purpose: str = "position") -> int:
    """Return a uniform 64-bit number for a row under a seed, the same on every machine and in every order.

    Args:
        seed: Seed of the run.
        row: Place of the row in its data set.
        purpose: Keeps choices of different kinds about one row independent of each other.
    """
    return int.from_bytes(hashlib.blake2b(f"{purpose}:{seed}:{row}".encode(), digest_size=8).digest(), "little")
