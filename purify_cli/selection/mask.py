"""Masks: building one from scores; writing and reading one (``files``)."""

from math import isfinite

import numpy as np
import torch

from purify_cli.errors import UsageError
from purify_cli.progress import SILENT, Progress
from purify_cli.selection.bits import Mask
from purify_cli.selection.files import read_mask, write_mask
from purify_cli.selection.threshold import find_with_pending
from purify_cli.tensors import TensorSource, total_entries

__all__ = ["Mask", "build_mask", "count_for", "read_mask", "write_mask"]


def count_for(ratio: float, dimensions: int) -> int:
    """Return how many dimensions a ratio selects: round(ratio · d), halves to the even number (Python's ``round``).

    Raises:
        UsageError: If the ratio is not a number from 0 to 1.
    """
    if not (isfinite(ratio) and 0.0 <= ratio <= 1.0):
        raise UsageError(f"--ratio {ratio} is not between 0 and 1", hint="0.3 resets three in ten dimensions.")
    return round(ratio * dimensions)


def build_mask(scores: TensorSource, ratio: float, *, progress: Progress = SILENT) -> Mask:
    """Select exactly round(ratio · d) dimensions over all tensors together.

    The bits are written in the pass that looks for the threshold; the few entries near it follow once it is known.

    Args:
        scores: float32 in the encoding of ``Indicator``; read once or twice, not at all for ratio 0 and 1.
        ratio: Share to select, in [0, 1].
        progress: Told about chunks.

    Returns:
        The mask: the same for every chunking, sharding and order of tensors; nested in the ratio.

    Raises:
        UsageError: If the ratio is out of range.
        ValueError: If a score is NaN or infinite.
    """
    sizes = {name: spec.numel for name, spec in scores.specs.items()}
    shapes = {name: spec.shape for name, spec in scores.specs.items()}
    total = total_entries(scores)
    count = count_for(ratio, total)
    packed = {name: np.zeros((size + 7) // 8, dtype=np.uint8) for name, size in sizes.items()}

    def note(name: str, start: int, above: np.ndarray) -> None:
        packed[name][start // 8 : start // 8 + (len(above) + 7) // 8] = np.packbits(above, bitorder="little")

    if count == total:
        for name, size in sizes.items():
            packed[name][:] = 0xFF
            if size % 8:
                packed[name][-1] = (1 << size % 8) - 1
    elif count:
        _, rest = find_with_pending(scores, count, progress=progress, sink=note)
        for pending in rest:
            bit = np.left_shift(np.uint8(1), (pending.indices & 7).astype(np.uint8))
            np.bitwise_or.at(packed[pending.name], pending.indices >> 3, bit)
    return Mask(ratio, count, {name: torch.from_numpy(held) for name, held in packed.items()}, shapes)
