"""What can go wrong, as types; each one is a sentence and a hint.

The tree, and which mistake each branch stands for::

    PurifyError               anything expected that stops a command (exit code 2)
    ├── UsageError            options that contradict each other or are out of range
    │   └── UnknownName       a method, attack, indicator or alias that is not in its table
    ├── CheckpointError       a model that cannot be read or must not be trusted
    │   ├── PickleRefused     pickled weights without --allow-pickle
    │   ├── NonFiniteWeights  NaN or infinity among the weights
    │   └── HubUnavailable    a hub id that is neither cached nor reachable
    ├── PairError             suspect and reference do not belong together
    ├── DataError             a data file or row that cannot be used
    │   └── SearchImpossible  too little to look for a trigger with
    ├── RunFolderError        the run folder lacks a record, or holds a stale one
    ├── OutputExists          a result is there already and --overwrite was not given
    ├── StorageError          the disk is full or not writable
    └── TrainingDiverged      loss or gradient became NaN or infinite

The library raises these; only ``cli/app.py`` turns them into words. Anything else that escapes is a bug and keeps
its traceback.
"""

from typing import Final

__all__ = [
    "CheckpointError",
    "DataError",
    "HubUnavailable",
    "NonFiniteWeights",
    "OutputExists",
    "PairError",
    "PickleRefused",
    "PurifyError",
    "RunFolderError",
    "SearchImpossible",
    "StorageError",
    "TrainingDiverged",
    "UnknownName",
    "UsageError",
    "printable",
]

FAILED: Final = 2
"""Exit code of every command that could not complete."""


class PurifyError(Exception):
    """An expected failure: one sentence that says what is wrong, and a hint that says what to do.

    Args:
        message: One sentence without a full stop; names the file, tensor, line or option.
        hint: What to try next, as a sentence.
    """

    exit_code: int = FAILED

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(PurifyError):
    """Options are out of range or contradict each other."""


class UnknownName(UsageError):
    """A name is not in its table; the hint lists near matches."""


class CheckpointError(PurifyError):
    """A checkpoint cannot be read, or must not be trusted."""


class PickleRefused(CheckpointError):
    """Weights are a pickle, which can run code when it is loaded."""


class NonFiniteWeights(CheckpointError):
    """Weights hold NaN or infinity."""


class HubUnavailable(CheckpointError):
    """A hub id is not in the local cache and the hub cannot be reached."""


class PairError(PurifyError):
    """Suspect and reference cannot be compared."""


class DataError(PurifyError):
    """A data file, row or label cannot be used."""


class SearchImpossible(DataError):
    """There is too little to look for a trigger with; what was asked besides goes on."""


class RunFolderError(PurifyError):
    """The run folder lacks what a command needs, or holds a record of something else."""


class OutputExists(PurifyError):
    """A result stands where one is to be written."""


class StorageError(PurifyError):
    """Writing failed: no space left, or no permission."""


class TrainingDiverged(PurifyError):
    """The loss or the gradient of a training step is NaN or infinite."""


def printable(text: str) -> str:
    """Escape what a terminal would obey, line breaks too: names and messages may come from a hostile file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
