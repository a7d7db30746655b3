"""What every pipeline needs first: two opened checkpoints, rows of data, and their hashes."""

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal, final

from purify_cli.checkpoint import (
    Checkpoint,
    CheckpointPair,
    nonfinite_entries,
    open_checkpoint,
    pair_checkpoints,
    without_nonfinite,
)
from purify_cli.data.example import Example
from purify_cli.data.loading import Columns, examples_sha256, load_examples
from purify_cli.errors import NonFiniteWeights, RunFolderError, UsageError
from purify_cli.model import Task
from purify_cli.progress import Progress
from purify_cli.report.schema import DataFacts, ModelFacts
from purify_cli.runtime import Runtime

__all__ = [
    "Common",
    "Opened",
    "data_facts",
    "label_number",
    "model_facts",
    "open_pair",
    "read_rows",
    "require_reference",
    "versions",
]

LIBRARIES: Final = ("purify-cli", "torch", "transformers", "safetensors", "datasets", "accelerate")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Options that every command shares."""

    runtime: Runtime = field(default_factory=Runtime)
    batch_size: int = 32
    max_length: int = 128
    columns: Columns = field(default_factory=Columns)
    allow_pickle: bool = False
    allow_nonfinite: bool = False


@final
@dataclass(frozen=True, slots=True)
class Opened:
    """A suspect and its reference, aligned and checked."""

    suspect: Checkpoint
    reference: Checkpoint
    pair: CheckpointPair
    """Without non-finite entries: they read as the reference's where --allow-nonfinite lets them pass."""
    nonfinite: dict[str, int]


def versions() -> dict[str, str]:
    """Versions that could explain a difference between two runs."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def model_facts(checkpoint: Checkpoint) -> ModelFacts:
    """Identify a checkpoint by path and hash."""
    given = checkpoint.files.given
    path = Path(given)
    return ModelFacts(path=str(path.absolute()) if path.exists() else given, sha256=checkpoint.sha256())


def data_facts(given: str, rows: Sequence[Example]) -> DataFacts:
    """Identify a data set by path and by the hash of its rows."""
    counts = Counter(row.label for row in rows if row.label is not None)
    path = Path(given)
    return DataFacts(
        path=str(path.absolute()) if path.exists() else given,
        sha256=examples_sha256(rows),
        rows=len(rows),
        per_label={str(label): counts[label] for label in sorted(counts)},
    )


def require_reference(reference: str | None) -> str:
    """Return the reference's name.

    Raises:
        UsageError: If none is known.
    """
    if reference is None:
        raise UsageError(
            "the reference is not known",
            hint="Name the pre-trained model that the suspect was tuned from: --ref bert-base, or a folder.",
        )
    return reference


def open_pair(suspect: str, reference: str, common: Common, progress: Progress, *, expect: str | None = None) -> Opened:
    """Open both checkpoints, align them and look for NaN and infinity.

    Args:
        suspect: File, folder, hub id or alias.
        reference: The same; an alias may be resolved by the suspect's vocabulary size.
        common: For ``allow_pickle`` and ``allow_nonfinite``.
        progress: Told of the passes over the weights.
        expect: SHA-256 that a record promised for the suspect.

    Raises:
        RunFolderError: If the suspect is not the one that the record was made from.
        NonFiniteWeights: If the suspect holds NaN or infinity and that was not allowed.
    """
    opened = open_checkpoint(suspect, allow_pickle=common.allow_pickle)
    if expect is not None and opened.sha256() != expect:
        raise RunFolderError(
            f"{suspect} has changed since the record in the run folder was made",
            hint="Run `purify detect` on it again.",
        )
    other = open_checkpoint(reference, allow_pickle=common.allow_pickle, vocabulary=opened.vocabulary)
    pair = pair_checkpoints(opened, other)
    nonfinite = nonfinite_entries(pair.suspect, progress)
    if nonfinite:
        if not common.allow_nonfinite:
            first = next(iter(nonfinite))
            raise NonFiniteWeights(
                f"{suspect} holds NaN or infinity: {sum(nonfinite.values())} entries, first in {first}",
                hint="No sound model does. --allow-nonfinite resets these entries to the reference.",
            )
        pair = without_nonfinite(pair)
    return Opened(opened, other, pair, nonfinite)


def read_rows(
    given: str, task: Task | None, common: Common, *, labels: Literal["required", "none", "optional"] = "required"
) -> list[Example]:
    """Load data whose labels must fit the task."""
    return load_examples(
        given,
        num_labels=task.num_labels if task else None,
        label_names=task.label_names if task else None,
        columns=common.columns,
        labels=labels,
    )


def label_number(given: str, task: Task) -> int:
    """Turn ``--target`` (a number or a label's name) into a label number.

    Raises:
        UsageError: If the model has no such label.
    """
    names = list(task.label_names)
    number = int(given) if given.lstrip("-").isdigit() else names.index(given) if given in names else -1
    if not 0 <= number < task.num_labels:
        raise UsageError(
            f"--target {given} is no label of this model",
            hint=f"It has {task.num_labels} labels: {', '.join(names[:10])}.",
        )
    return number
