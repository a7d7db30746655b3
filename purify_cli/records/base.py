"""What every record of a command has, and the parts that several of them hold.

A record is what a command prints with ``--format json``, what it leaves in the run folder, and what the next command
of a pipeline reads. Records hold no time and no duration, so that the same inputs and seed give the same bytes; times
go to ``log.jsonl``. Shares and probabilities are in [0, 1]; an unknown number is null, never NaN.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field

from purify_cli.evidence.verdict import Verdict
from purify_cli.training import TrainingResult

__all__ = ["SCHEMA_VERSION", "Part", "Record", "StoredVerdict", "TrainingFacts"]


SCHEMA_VERSION: Final = 1


def _renamed(verdict: object) -> object:
    """Read the level that earlier versions would have given a model in which nothing was found."""
    return (
        verdict | {"level": "no-finding"} if isinstance(verdict, dict) and verdict.get("level") == "clean" else verdict
    )


StoredVerdict = Annotated[Verdict, BeforeValidator(_renamed)]
"""A verdict, of whatever version."""


class Part(
    BaseModel,
    extra="forbid",
    frozen=True,
    allow_inf_nan=False,
    revalidate_instances="always",
    use_attribute_docstrings=True,
):
    """A part of a record: no unknown keys, no changes, no NaN.

    That goes for the dataclasses among its fields as well: they are checked when a record is made of them, and what
    stands below their fields describes these in the schemas.
    """


class Record(Part, frozen=True):
    """What every record carries."""

    schema_version: Literal[1] = SCHEMA_VERSION
    versions: dict[str, str] = Field(description="Versions of this tool, Python and the libraries that computed.")
    seed: int
    run: str = Field(description="The run folder, absolute.")
    settings: dict[str, Any] = Field(description="Every setting that could change the result.")


class TrainingFacts(Part, frozen=True):
    """A fine-tuning run."""

    settings: dict[str, Any]
    steps: int
    first_loss: float
    last_loss: float
    stopped_early: bool

    @classmethod
    def of(cls, result: TrainingResult) -> Self:
        """Write a fine-tuning run down."""
        return cls(
            settings=result.settings.as_record(),
            steps=result.steps,
            first_loss=result.first_loss,
            last_loss=result.last_loss,
            stopped_early=result.stopped_early,
        )
