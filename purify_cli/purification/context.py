"""A model and its control in front of rows, as the trigger search takes them."""

from collections.abc import Sequence

from purify_cli.data.example import Example
from purify_cli.model import Loaded
from purify_cli.purification.session import Workbench
from purify_cli.trigger_search.flips import Asked

__all__ = ["search_context"]


def search_context(
    bench: Workbench, suspect: Loaded, rows: Sequence[Example], *, control: Loaded | None = None
) -> Asked:
    """Put a model, and one beside it, in front of rows."""
    return Asked(
        suspect=suspect.module,
        control=(control or suspect).module,
        tokenizer=bench.tokenizer,
        rows=rows,
        batch_size=bench.common.batch_size,
        max_length=bench.max_length,
        pad_id=bench.pad_id(suspect),
        device=bench.common.runtime.device,
        seed=bench.common.runtime.seed,
        dtype=bench.common.runtime.dtype,
    )
