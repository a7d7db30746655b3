"""What was read and written, by path and hash, and with which versions: what a result can be traced back to."""

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from os import fspath
from pathlib import Path
from typing import Final, Self, final

from purify_cli.checkpoint import Checkpoint
from purify_cli.choices import Name
from purify_cli.data.example import Example
from purify_cli.data.loading import examples_sha256
from purify_cli.data.tables import data_path

__all__ = ["DataFacts", "FileFact", "ModelFacts", "data_facts", "model_facts", "versions"]

LIBRARIES: Final = ("purify-cli", "torch", "transformers", "safetensors", "datasets", "accelerate")


@final
@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model, and the exact bytes that were read."""

    path: str
    """As the user named it, made absolute where it is a local path."""
    sha256: str
    """Of the weights; for shards, of the sorted list of their hashes."""

    @classmethod
    def named(cls, path: Name) -> Self:
        """Return a model that an option names, of which no record promises anything."""
        return cls(path=fspath(path), sha256="")


@final
@dataclass(frozen=True, slots=True)
class DataFacts:
    """A data set as it was read."""

    path: str
    sha256: str
    """Of the rows after reading, so that csv and jsonl of the same rows agree."""
    rows: int
    per_label: dict[str, int]
    """Rows per label number; empty for unlabelled data."""


@final
@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of tensors beside the record."""

    path: str
    sha256: str


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


def data_facts(given: Name, rows: Sequence[Example], *, classes: int = 0) -> DataFacts:
    """Identify a data set by path and by the hash of its rows; of so many classes those without a row are listed."""
    counts = Counter(row.label for row in rows if row.label is not None)
    path = data_path(fspath(given))
    return DataFacts(
        path=str(path.absolute()) if path.exists() else fspath(given),
        sha256=examples_sha256(rows),
        rows=len(rows),
        per_label={str(label): counts[label] for label in sorted({*counts, *range(classes)})},
    )
