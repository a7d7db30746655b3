"""The plan of a bench: tasks, attacks, methods and how they are combined, as frozen values read from TOML."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from purify_cli.choices import Estimator, LabelMode, Position

__all__ = ["DEMO", "AttackPlan", "BenchPlan", "MethodPlan", "Shared", "TaskPlan"]

DEMO: Final = "demo"
"""Stands where a file does: rows that come with the package (``purify_cli.data.demo_corpus``)."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._()+-]*$")]
"""Names become part of keys and of folder names: no slash, no comma, no line break."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Shared(_Part):
    """``[bench]``: what holds for all cells."""

    name: Name
    """Results and work folder belong to the plan of this name."""
    reference: str = "minilm"
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    clean_per_class: tuple[Count, ...] = Field(default=(32,), min_length=1)
    """Sizes of the defender's set, rows per class; smaller sets are parts of larger ones."""
    max_length: Annotated[int, Field(ge=4)] = 64
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type of the attacker's training."""
    repair_dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type of repairs and measurements."""
    steps: Count = 60
    """Optimiser steps of every fine-tuning on the clean rows, in the search for the ratio as after it."""
    learning_rate: Rate = 5e-5
    folds: Annotated[int, Field(ge=2)] = 4
    """Parts of the clean rows that take turns in being held back when the ratio is chosen."""
    max_drops: tuple[Share, ...] = (0.02, 0.05)
    """Budgets: clean accuracy that a ratio may cost against plain fine-tuning of the same suspect. Without any, no
    ratio is chosen: every ratio of a method's grid has its cell, and there are no curves."""
    detection: bool = True
    """Whether indicators are scored against the known changed dimensions, where an attack knows them."""

    @property
    def chooses(self) -> bool:
        """Whether a budget chooses the ratio."""
        return bool(self.max_drops)


class TaskPlan(_Part):
    """``[[task]]``: one data set."""

    name: Name
    train: str | None = None
    """Attacker's and defender's rows; default ``<name>/train.jsonl``. ``demo``: texts that come with the package."""
    test: str | None = None
    """Default ``<name>/validation.jsonl``."""
    train_rows: Count | None = None
    """Rows that the attacker gets, after the defender's are taken out; default all that are left."""
    test_rows: Count | None = None
    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    target: str = "1"
    epochs: Count = 3
    """Of the attacker and of the clean twin, unless the attack says otherwise."""
    learning_rate: Rate = 5e-5
    seeds: tuple[int, ...] | None = None
    """Only these of the plan's seeds."""


class AttackPlan(_Part):
    """``[[attack]]``: one way to make a suspect."""

    name: str
    """Key into ``ATTACKS``."""
    label: Name | None = None
    """In tables, keys and folder names; default the name."""
    tasks: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    trigger: str | None = None
    position: Position | None = None
    rate: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    label_mode: LabelMode | None = None
    replace: bool = False
    target: str | None = None
    """Default: the task's."""
    epochs: Count | None = None
    learning_rate: Rate | None = None
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    settings: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    """The attack's own settings, as after ``--set``."""
    start: Literal["reference", "twin"] | None = None
    """``twin``: the clean twin is the model that is attacked. Default: what the attack itself starts from."""
    train: str | None = None
    """Poisoned rows of its own (the ``file`` attack), in place of the task's."""
    triggered: str | None = None
    """Test rows that carry the trigger already (the ``file`` attack)."""

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.label or self.name


class MethodPlan(_Part):
    """``[[method]]``: one way to repair a suspect."""

    name: str
    """Key into ``METHODS``, or several joined by commas."""
    label: Name | None = None
    ratios: tuple[Share, ...] | None = Field(default=None, min_length=1)
    """Grid for the search, ascending; default the method's own. Of a plan without budgets: what is measured, by default
    the method's own ratio."""
    settings: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    indicator: str | None = None
    estimator: Estimator = "auto"
    learning_rate: Rate | None = None
    """Default: the plan's."""
    tasks: tuple[str, ...] | None = None
    attacks: tuple[str, ...] | None = None
    """Labels of the attacks that it is tried on; default all."""
    clean_per_class: tuple[Count, ...] | None = None
    seeds: tuple[int, ...] | None = None

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.label or self.name.replace(",", " + ")


class BenchPlan(_Part):
    """A whole plan."""

    bench: Shared
    task: tuple[TaskPlan, ...] = Field(min_length=1)
    attack: tuple[AttackPlan, ...] = Field(min_length=1)
    method: tuple[MethodPlan, ...] = Field(min_length=1)

    def as_record(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return self.model_dump(mode="json")
