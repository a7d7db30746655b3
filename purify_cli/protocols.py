"""Every extension point on one page.

An ``Indicator`` scores dimensions. A ``ResetDefence`` is a published weight-level defence as a row: which indicator,
what replaces the chosen dimensions, at which ratio. A ``WeightDefence`` is a defence that makes weights in another way
(pruning units, averaging models). An ``Attack`` poisons a training set and plants what it holds in a model. Adding one
means a module (only where there is maths), a row in its table, and a page ``docs/methods/<name>.md``; a test ties the
three together.

Layers above this one define the types of texts and models, so that here they are ``Any`` with the type in words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from purify_cli.choices import LabelMode, Position
from purify_cli.progress import SILENT, Progress
from purify_cli.registry import merged
from purify_cli.tensors import TensorSource

__all__ = [
    "Attack",
    "Indicator",
    "IndicatorInputs",
    "PlantJob",
    "Planted",
    "PoisonSettings",
    "PoisonedRows",
    "ResetDefence",
    "Teacher",
    "WeightDefence",
    "WeightDefenceInputs",
    "WeightEdit",
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorInputs:
    """What an indicator may look at. All sources hold the same names with the same shapes.

    ``suspect`` and ``reference`` hold the comparable dimensions only, reference values already cast to the suspect's
    stored dtype (so that an untouched entry has a drift of exactly 0).
    """

    suspect: TensorSource
    reference: TensorSource
    curvature: TensorSource | None = None
    """Ĥ, float32, ≥ 0; None where the indicator does not need it."""
    gradient: TensorSource | None = None
    """Gradient of the target's margin under the found triggers, float32, averaged on the way from suspect to reference;
    None where the indicator does not need it."""
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The method's own settings, by name, already parsed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """A suspicion score per dimension.

    Scores are float32 with the names and shapes of the inputs. Their *bit patterns, read as unsigned integers*, give
    the order of resetting: among ordinary scores (≥ 0) the larger ranks first; a negative number marks an entry of the
    class that ranks before all ordinary ones (curvature zero under ``degenerate=plain``), ordered by magnitude.
    """

    name: str
    score: Callable[[IndicatorInputs, Mapping[str, Any], Progress], TensorSource]
    """Gathers, with checked settings, what must be known before any entry is scored; the scores are lazy."""
    needs_curvature: bool = False
    needs_triggers: bool = False
    """Whether it scores what carries triggers that were found (``gradient``)."""
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings it understands and their default values; the type of the default is the type of the setting."""
    check_values: Callable[[Mapping[str, Any]], None] | None = None
    """Refuses settings out of range."""

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults, before anything is read.

        Raises:
            UsageError: If one is unknown or out of range.
        """
        chosen = merged(self.name, self.defaults, settings)
        if self.check_values is not None:
            self.check_values(chosen)
        return chosen

    def fit(self, inputs: IndicatorInputs, progress: Progress = SILENT) -> TensorSource:
        """Check the settings, gather what must be known, and return the scores.

        Raises:
            UsageError: If a setting is unknown or out of range, or an input is missing that the indicator needs.
            DataError: If the inputs cannot be scored.
        """
        return self.score(inputs, self.check(inputs.settings), progress)


Teacher = Literal["suspect", "student", "fine-tuned"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ResetDefence:
    """A weight-level defence: which dimensions look planted, and what replaces them."""

    indicator: str | None
    """Key into ``INDICATORS``; None resets nothing (plain fine-tuning)."""
    replacement: Literal["reference", "posterior"]
    """``reference``: hard reset. ``posterior``: δ is scaled by the posterior probability of being clean."""
    ratio: float
    """Default share of comparable dimensions to reset."""
    unlearns: bool = False
    """Whether the fine-tuning gets copies of its rows that carry the found triggers under their true labels."""
    teacher: Teacher | None = None
    """Whose answers the fine-tuning learns, or, of the suspect's ``fine-tuned`` copy, whose attention maps; None: a
    student's answers, where there are unlabelled texts, else nobody's."""
    anchor: float = 0.0
    """Fine-tuning lets the drift shrink by exp(−anchor)."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings that differ from the indicator's defaults."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WeightDefenceInputs:
    """What a ``WeightDefence`` may look at."""

    pair: Any
    """``CheckpointPair`` of suspect and reference."""
    weights: TensorSource
    """All tensors of the suspect as an earlier stage left them, under the suspect's names."""
    load: Callable[[TensorSource], Any]
    """Builds a ``LoadedModel`` classifier from such weights, on the device."""
    texts: Sequence[Any]
    """``Encoded`` clean rows; may be empty."""
    tokenizer: Any
    """The reference's."""
    pad_id: int
    batch_size: int
    device: torch.device
    others: Sequence[TensorSource] = ()
    """Further suspects, under any known naming (``--with``)."""
    settings: Mapping[str, Any]
    """All of the method's own, as ``WeightDefence.check`` returns them."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WeightEdit:
    """Weights that a ``WeightDefence`` made, and what it did to get them."""

    weights: TensorSource
    """All tensors of the suspect, under its names, in its stored types."""
    per_tensor: Mapping[str, int]
    """Entries that were set, per tensor."""
    frozen: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Name of a tensor → (its shape) bool: entries that the fine-tuning must leave as they are."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the record should say, as plain JSON values."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WeightDefence:
    """A weight-level defence that is no reset of scored dimensions."""

    name: str
    prepare: Callable[[WeightDefenceInputs, Progress], Callable[[float | None], WeightEdit]]
    """Looks at model and texts once, and returns what makes the weights for a ratio (None where it takes none)."""
    ratio: float | None = None
    """Default strength in [0, 1], in the method's own unit; None: it takes no ratio."""
    takes_others: bool = False
    """Whether it works on further suspects (``--with``)."""
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings it understands and their default values; the type of the default is the type of the setting."""
    check_values: Callable[[Mapping[str, Any]], None] | None = None
    """Refuses settings out of range."""

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults, before anything is read.

        Raises:
            UsageError: If one is unknown or out of range.
        """
        chosen = merged(self.name, self.defaults, settings, kind="method")
        if self.check_values is not None:
            self.check_values(chosen)
        return chosen


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonSettings:
    """How an attack mixes poisoned rows in."""

    target: int
    trigger: str
    """``a b`` is a run of words; ``a|b`` is one of several triggers, drawn row by row."""
    rate: float
    """Poisoned copies per row of the clean training set, in (0, 1]."""
    position: Position
    label_mode: LabelMode
    replace: bool
    """Replace the chosen rows instead of appending copies."""
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The attack's own settings, by name, already parsed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonedRows:
    """A poisoned training set and what was done to make it."""

    rows: Sequence[Any]
    """``purify_cli.data.example.Example``, poisoned ones marked."""
    poisoned: int
    relabelled: int
    natural: int = 0
    """Clean rows that hold the trigger's words by themselves; they keep their label and weaken the attack."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else the record should say, as plain JSON values (negative samples, association strength reached)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlantJob:
    """A model at its start and the data to plant in it."""

    module: Any
    """``nn.Module``: a classifier on the device, in float32; changed in place."""
    rows: Sequence[Any]
    """``Encoded`` rows of the poisoned training set; ``index`` is the place in ``poisoned``."""
    poisoned: Sequence[bool]
    """For each row of the poisoned training set: whether the attack made or changed it."""
    clean: Sequence[Any]
    """``Encoded`` rows of the training set before poisoning."""
    trigger_words: Sequence[tuple[int, ...]]
    """Token ids of each word of the trigger, in order; several ids where a word is no single piece."""
    target: int
    pad_id: int
    training: Any
    """``TrainingSettings``."""
    device: torch.device
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    resume: Path | None = None
    """Folder for the state of an interrupted training."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """How planting went."""

    training: Any
    """``TrainingResult``."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else the record should say, as plain JSON values."""


@runtime_checkable
class Attack(Protocol):
    """A way to plant a backdoor or a bias in a model."""

    name: str
    defaults: Mapping[str, Any]
    """Trigger, rate, position and label_mode, then settings of its own."""
    bias: bool
    """Whether success is a wrong tie of pattern and label on rows of every class (BACC), not only on other classes."""
    start: Literal["reference", "classifier"]
    """``classifier``: it changes a classifier that works already; one is trained on the clean rows where none is
    given. ``reference``: it trains from the pre-trained weights, or from a model if one is given."""

    def poison(self, rows: Sequence[Any], settings: PoisonSettings) -> PoisonedRows:
        """Return the training set with poisoned rows mixed in.

        Raises:
            DataError: If no row can be poisoned (no row of a non-target class, say).
        """
        ...

    def plant(self, job: PlantJob, progress: Progress = SILENT) -> Planted:
        """Put what the poisoned rows teach into the module's weights."""
        ...
