"""A model and its control in front of rows, as the trigger search takes them."""

from collections.abc import Sequence

from purify_cli.data.example import Example
from purify_cli.model import Loaded
from purify_cli.purification.repair_session import RepairSession
from purify_cli.trigger_search.flips import SearchContext

__all__ = ["search_context"]


def search_context(
    session: RepairSession, suspect: Loaded, rows: Sequence[Example], *, control: Loaded | None = None
) -> SearchContext:
    """Put a model, and one beside it, in front of rows."""
    return SearchContext(
        suspect=suspect.module,
        control=(control or suspect).module,
        tokenizer=session.tokenizer,
        rows=rows,
        batch_size=session.common.batch_size,
        max_length=session.max_length,
        pad_id=session.pad_id(suspect),
        device=session.common.runtime.device,
        seed=session.common.runtime.seed,
        dtype=session.common.runtime.dtype,
    )
