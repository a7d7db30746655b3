"""What every record of a command has, and the parts that several of them hold.

A record is what a command prints with ``--format json``, what it leaves in the run folder, and what the next command
of a pipeline reads. Records hold no time and no duration, so that the same inputs and seed give the same bytes; times
go to ``log.jsonl``. Shares and probabilities are in [0, 1]; an unknown number is null, never NaN.
"""

from os import fspath
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field

from purify_cli.choices import Name, Position

__all__ = [
    "SCHEMA_VERSION",
    "DataFacts",
    "FileFact",
    "Level",
    "MissFact",
    "ModelFacts",
    "Part",
    "PerplexityFact",
    "ProportionFact",
    "Record",
    "TrainingFacts",
    "TriggerFact",
    "Verdict",
]


SCHEMA_VERSION: Final = 1


Level = Literal["no-finding", "incomplete", "suspicious", "poisoned"]


def _renamed(level: object) -> object:
    """Read the level that earlier versions would have given a model in which nothing was found."""
    return "no-finding" if level == "clean" else level


class Part(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """A part of a record: no unknown keys, no changes, no NaN."""


class ModelFacts(Part, frozen=True):
    """A model, and the exact bytes that were read."""

    path: str = Field(description="As the user named it, made absolute where it is a local path.")
    sha256: str = Field(description="Of the weights; for shards, of the sorted list of their hashes.")

    @classmethod
    def named(cls, path: Name) -> Self:
        """Return a model that an option names, of which no record promises anything."""
        return cls(path=fspath(path), sha256="")


class DataFacts(Part, frozen=True):
    """A data set as it was read."""

    path: str
    sha256: str = Field(description="Of the rows after reading, so that csv and jsonl of the same rows agree.")
    rows: int
    per_label: dict[str, int] = Field(description="Rows per label number; empty for unlabelled data.")


class FileFact(Part, frozen=True):
    """A file of tensors beside the record."""

    path: str
    sha256: str


class TriggerFact(Part, frozen=True):
    """A trigger and where it is put."""

    text: str = Field(description="Empty where the rows carry the trigger themselves.")
    position: Position
    target: int
    bias: bool = Field(default=False, description="Whether it is measured by accuracy on rows of every label.")
    rows: str | None = Field(default=None, description="File of rows that carry the trigger already.")


class ProportionFact(Part, frozen=True):
    """A share with its Wilson 95 % interval, which is wider where the trials share texts: for independent ones."""

    successes: int
    total: int
    value: float
    low: float
    high: float


class PerplexityFact(Part, frozen=True):
    """How well a language model predicts clean text."""

    perplexity: float | None = Field(description="exp(loss); null where that is beyond the largest number.")
    loss: float = Field(description="Mean negative log-likelihood per token, in nats.")
    low: float | None = Field(description="Of the 95 % interval of the loss, over texts; null of a single text.")
    high: float | None
    tokens: int
    texts: int


class Record(Part, frozen=True):
    """What every record carries."""

    schema_version: Literal[1] = SCHEMA_VERSION
    versions: dict[str, str] = Field(description="Versions of this tool, Python and the libraries that computed.")
    seed: int
    run: str = Field(description="The run folder, absolute.")
    settings: dict[str, Any] = Field(description="Every setting that could change the result.")


class MissFact(Part, frozen=True):
    """How often a search that finds nothing is wrong, as counted on models that were poisoned for it."""

    missed: int = Field(description="Suspects with a backdoor or bias that works in which nothing was flagged.")
    of: int
    low: float = Field(description="Of the Wilson 95 % interval of their share.")
    high: float
    settings: dict[str, Any] = Field(description="Of these searches. At others the share is not known.")


class Verdict(Part, frozen=True):
    """What the evidence amounts to."""

    level: Annotated[Level, BeforeValidator(_renamed)] = Field(
        description="no-finding: all was measured and nothing found; incomplete: something could not be measured."
    )
    reasons: list[str]
    not_measured: list[str] = Field(description="Empty where the level is no-finding.")
    misses: MissFact | None = Field(
        default=None,
        description="Beside no-finding: what such a search misses; null where nobody counted, and of other levels.",
    )


class TrainingFacts(Part, frozen=True):
    """A fine-tuning run."""

    settings: dict[str, Any]
    steps: int
    first_loss: float
    last_loss: float
    stopped_early: bool
