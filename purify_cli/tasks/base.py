"""The protocol of a task: how rows are read by a model, what it learns, and how its triggers are measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, final, runtime_checkable

from transformers import PreTrainedTokenizerBase

from purify_cli.checkpoint import Checkpoint
from purify_cli.curvature.objectives import Scalars
from purify_cli.data.batches import Encoded
from purify_cli.data.example import Example
from purify_cli.measures.utility import Utility
from purify_cli.model import LoadedModel
from purify_cli.runtime import Compute
from purify_cli.tensors import TensorSource
from purify_cli.training import Objective
from purify_cli.trigger_search.found import FoundTrigger
from purify_cli.trigger_search.path_gradient import TriggeredBatch

__all__ = ["TIMES", "Task", "TriggerCounts"]

TIMES: Final = 3
"""How often in a row a found word is put into a text that a repair learns from. The attacker's trigger may be longer
than the one word of it that was found (a sentence), and what answers to the rest of it is hardly reached by one."""


@final
@dataclass(frozen=True, slots=True)
class TriggerCounts:
    """A found trigger in held-back rows, in a suspect and in what a repair made of it."""

    rows: int = 0
    """In which neither model gives the target without the trigger."""
    before: int = 0
    """Of them: the suspect gives the target with the trigger."""
    after: int = 0
    """Of them: the repaired model does."""
    left_out: int = 0
    """Rows that were to be tried, in which a model gives the target anyway, so that nothing can be seen."""

    def __add__(self, other: "TriggerCounts") -> "TriggerCounts":
        """Count both."""
        return TriggerCounts(
            self.rows + other.rows,
            self.before + other.before,
            self.after + other.after,
            self.left_out + other.left_out,
        )


@runtime_checkable
class Task(Protocol):
    """A kind of model, bound to a reference, its tokenizer and a machine."""

    @property
    def kind(self) -> Literal["classification", "causal"]:
        """Its name in records."""
        ...

    @property
    def base(self) -> Checkpoint:
        """The reference."""
        ...

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The reference's, with what the suspect added to it."""
        ...

    @property
    def compute(self) -> Compute:
        """Where and how."""
        ...

    @property
    def max_length(self) -> int:
        """Most tokens per row: what was asked for, or what the model can take if that is less."""
        ...

    @property
    def defaults(self) -> Mapping[str, Mapping[str, Any]]:
        """Settings that suit this task better than those of the tables: by indicator, and of ``fine-tuning``."""
        ...

    @property
    def max_drop(self) -> float:
        """Utility that a search for the ratio may give up where nothing was asked for."""
        ...

    @property
    def samples(self) -> str:
        """What clean samples are, for hints."""
        ...

    @property
    def objective(self) -> Objective:
        """What fine-tuning learns from."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides how rows are read besides the length, for records."""
        ...

    def require_rows(self, rows: Sequence[Example]) -> None:
        """Refuse rows that cannot be tuned on.

        Raises:
            DataError: If there are too few.
        """
        ...

    def encode(self, rows: Sequence[Example]) -> list[Encoded]:
        """Turn rows into what the model gets."""
        ...

    def load(self, weights: TensorSource) -> LoadedModel:
        """Build a model of its own on the device."""
        ...

    def pad_id(self, loaded: LoadedModel) -> int:
        """Return the token id that rows of a model are padded with."""
        ...

    def gradient_rows(self, loaded: LoadedModel, rows: Sequence[Encoded]) -> int:
        """Return how many rows a pass that takes gradients may hold."""
        ...

    def scalars(self, estimator: Literal["empirical", "true", "hutchinson"]) -> Scalars:
        """Return the per-sample scalars behind a curvature."""
        ...

    def utility(self, loaded: LoadedModel, rows: Sequence[Example]) -> Utility:
        """Measure what a model is good for on clean rows."""
        ...

    def check_target(self, found: FoundTrigger) -> None:
        """Refuse a found trigger whose target the model cannot give.

        Raises:
            RunFolderError: If it cannot.
        """
        ...

    def carrying(self, found: FoundTrigger, row: Example, place: int, *, times: int = TIMES) -> Example:
        """Put a trigger into a clean row that keeps its true answer: what unlearning learns from.

        Args:
            found: The trigger.
            row: A clean row.
            place: Of the row among its like; decides where the trigger goes.
            times: How often in a row it is put there.
        """
        ...

    def driven(self, found: Sequence[FoundTrigger], rows: Sequence[Example]) -> list[list[TriggeredBatch]]:
        """Return what each trigger drives to its target, with the margin of the target, or its parts.

        A trigger for which no row serves is left out.
        """
        ...

    def count_triggers(
        self, found: Sequence[FoundTrigger], suspect: LoadedModel, repaired: LoadedModel, held: Sequence[Example]
    ) -> list[TriggerCounts]:
        """Try triggers on held-back rows that had no part in the repair.

        Args:
            found: Triggers, in the order of what is returned.
            suspect: As it was.
            repaired: What came of the repair.
            held: At least one row.
        """
        ...
