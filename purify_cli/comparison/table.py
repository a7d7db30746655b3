"""What a comparison of classifiers comes to: a table per trigger, and the curves of the retuning test."""

from dataclasses import dataclass
from typing import Any, Self, final

from purify_cli.choices import Position
from purify_cli.evaluation import Measurement
from purify_cli.inputs.identity import ModelFacts
from purify_cli.measures import Consistency, Difference, Proportion

__all__ = [
    "LabelTrigger",
    "ModelMeasurement",
    "RetuneCurve",
    "RetunePoint",
    "RetuneTest",
    "Spread",
    "TriggerTable",
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTrigger:
    """A trigger and where it is put."""

    text: str
    """Empty where the rows carry the trigger themselves."""
    position: Position
    target: int
    bias: bool = False
    """Whether it is measured by accuracy on rows of every label."""
    rows: str | None = None
    """File of rows that carry the trigger already."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A share measured once per seed of the trigger's positions."""

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    """In the order of the seeds."""
    mean: float
    low: float
    """The smallest of the values."""
    high: float
    """The largest of the values."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMeasurement:
    """How one model behaves on one data set."""

    name: str
    model: ModelFacts
    accuracy: Proportion
    attack_success: Proportion | None
    """Over rows whose true label is not the target."""
    target_rate: Proportion | None
    """The same rows without the trigger, called the target."""
    trigger_lost: int
    """Rows left out because truncation cut the trigger."""
    per_class: tuple[Proportion | None, ...] = ()
    """Recall per label number without the trigger; null for a label without rows."""
    per_class_success: tuple[Proportion | None, ...] = ()
    """Per true label: rows with the trigger called the target; null without such rows."""
    bias_accuracy: Proportion | None = None
    """BACC: accuracy on rows of every label that carry the pattern."""
    per_class_bias: tuple[Proportion | None, ...] = ()
    """Recall per label number on the rows behind bias_accuracy."""
    called_target: Proportion | None = None
    """All rows that carry the trigger or pattern, called the target."""
    untriggered_accuracy: Proportion | None = None
    """Accuracy without the pattern on the very rows behind bias_accuracy."""
    bias_gap: Difference | None = None
    """Accuracy without the pattern minus with it, on the same rows; against itself."""
    accuracy_difference: Difference | None = None
    """Accuracy minus the first model's."""
    success_difference: Difference | None = None
    """Attack success minus the first model's."""
    bias_difference: Difference | None = None
    """Bias accuracy minus the first model's."""
    over_floor: Difference | None = None
    """Attack success minus that of the floor model."""
    bias_over_floor: Difference | None = None
    """Bias accuracy minus the floor model's."""
    success_spread: Spread | None = None
    """Attack success over seeds of positions."""
    bias_spread: Spread | None = None
    """Bias accuracy over seeds of positions."""
    consistency: Consistency | None = None

    @classmethod
    def of(cls, name: str, model: ModelFacts, measured: Measurement) -> Self:
        """Return a model's own figures, compared with no other."""
        return cls(
            name=name,
            model=model,
            accuracy=measured.accuracy,
            attack_success=measured.attack_success,
            target_rate=measured.target_rate,
            trigger_lost=measured.dropped,
            per_class=measured.per_class,
            per_class_success=measured.per_class_success,
            bias_accuracy=measured.bias_accuracy,
            per_class_bias=measured.per_class_bias,
            called_target=measured.called_target,
            untriggered_accuracy=measured.untriggered_accuracy,
        )


@final
@dataclass(frozen=True, slots=True)
class TriggerTable:
    """Models side by side under one trigger, or without one."""

    trigger: LabelTrigger | None
    models: tuple[ModelMeasurement, ...]
    floor: ModelMeasurement | None = None
    """A model that was never poisoned, on the same inputs."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RetunePoint:
    """A model while it is fine-tuned again on poisoned rows."""

    step: int
    """Steps done."""
    accuracy: Proportion
    attack_success: Proportion | None
    bias_accuracy: Proportion | None
    over_floor: Difference | None
    """Attack success minus the floor model's after as many steps of its own."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RetuneCurve:
    """How the attack comes back to one model."""

    name: str
    points: tuple[RetunePoint, ...]
    first_loss: float
    last_loss: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RetuneTest:
    """The retuning test: is the attack gone, or only out of sight?"""

    poisoned: int
    """Rows of other labels with the trigger and the target label."""
    clean: int
    """Clean rows beside them."""
    source: str
    """Where these rows come from; they are not measured."""
    rows_sha256: str
    """Of all these rows after the trigger was put in."""
    trigger: LabelTrigger
    training: dict[str, Any]
    """Settings of the fine-tuning, the same for every model."""
    measured: int
    """Rows that accuracy is measured on at every point."""
    curves: tuple[RetuneCurve, ...]
    floor: RetuneCurve | None
    """A model that was never poisoned, treated alike: how fast anything learns this trigger."""
