"""Models on disk: found, read, paired, compared, written.

    given ─► layout.resolve ─► reader.Checkpoint ─┐
                                                  ├─► pair.pair_checkpoints ─► aligned.CheckpointPair
    given ─► layout.resolve ─► reader.Checkpoint ─┘        │
                                                           └─► structure.structural_differences
    TensorSource ─► writer.write_tensors, writer.write_model, inside staging.staged_folder

The names below are imported when they are first used: the table of aliases must not cost an import of torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from purify_cli.checkpoint.aligned import CheckpointPair, Skipped
    from purify_cli.checkpoint.finite import nonfinite_entries, without_nonfinite
    from purify_cli.checkpoint.layout import resolve
    from purify_cli.checkpoint.names import canonical, is_head
    from purify_cli.checkpoint.pair import pair_checkpoints
    from purify_cli.checkpoint.places import may_replace
    from purify_cli.checkpoint.reader import Checkpoint, open_checkpoint, open_tensors
    from purify_cli.checkpoint.staging import staged_folder, write_bytes, write_text
    from purify_cli.checkpoint.structure import Difference, structural_differences
    from purify_cli.checkpoint.writer import write_and_open, write_model, write_tensors

__all__ = [
    "Checkpoint",
    "CheckpointPair",
    "Difference",
    "Skipped",
    "canonical",
    "is_head",
    "may_replace",
    "nonfinite_entries",
    "open_checkpoint",
    "open_tensors",
    "pair_checkpoints",
    "resolve",
    "staged_folder",
    "structural_differences",
    "without_nonfinite",
    "write_and_open",
    "write_bytes",
    "write_model",
    "write_tensors",
    "write_text",
]

HOMES: Final = {
    "aligned": ("CheckpointPair", "Skipped"),
    "finite": ("nonfinite_entries", "without_nonfinite"),
    "layout": ("resolve",),
    "names": ("canonical", "is_head"),
    "pair": ("pair_checkpoints",),
    "places": ("may_replace",),
    "reader": ("Checkpoint", "open_checkpoint", "open_tensors"),
    "staging": ("staged_folder", "write_bytes", "write_text"),
    "structure": ("Difference", "structural_differences"),
    "writer": ("write_and_open", "write_model", "write_tensors"),
}
"""Module → the names it is home to."""


def __getattr__(name: str) -> Any:
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
