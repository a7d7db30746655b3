"""Every extension point on one page.

An ``Indicator`` scores dimensions. A ``Repair`` is a published weight-level defence as a row: which indicator, what
replaces the chosen dimensions, at which ratio. An ``Attack`` makes a poisoned data set. Adding one means a module (only
where there is maths), a row in its table, and a page ``docs/methods/<name>.md``; a test ties the three together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, final, runtime_checkable

from purify_cli.progress import SILENT, Progress
from purify_cli.tensors import TensorSource

__all__ = ["Attack", "Indicator", "IndicatorInputs", "PoisonSettings", "PoisonedRows", "Repair"]


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
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The method's own settings, by name, already parsed."""


@runtime_checkable
class Indicator(Protocol):
    """A suspicion score per dimension.

    Scores are float32 with the names and shapes of the inputs. Their *bit patterns, read as unsigned integers*, give
    the order of resetting: among ordinary scores (≥ 0) the larger ranks first; a negative number marks an entry of the
    class that ranks before all ordinary ones (curvature zero under ``degenerate=plain``), ordered by magnitude.
    """

    name: str
    needs_curvature: bool
    defaults: Mapping[str, Any]
    """Settings it understands and their default values; the type of the default is the type of the setting."""

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults; refuse unknown names and values out of range, before anything is read."""
        ...

    def fit(self, inputs: IndicatorInputs, progress: Progress = SILENT) -> TensorSource:
        """Gather what must be known before any entry is scored; return the scores as a lazy source."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A weight-level defence: which dimensions look planted, and what replaces them."""

    indicator: str | None
    """Key into ``INDICATORS``; None resets nothing (plain fine-tuning)."""
    replacement: Literal["reference", "posterior"]
    """``reference``: hard reset. ``posterior``: δ is scaled by the posterior probability of being clean."""
    ratio: float
    """Default share of comparable dimensions to reset."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings that differ from the indicator's defaults."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonSettings:
    """How a data-poisoning attack mixes its rows in."""

    target: int
    trigger: str
    rate: float
    """Poisoned copies per row of the clean training set, in (0, 1]."""
    position: Literal["start", "end", "random"]
    label_mode: Literal["dirty", "clean", "mix"]
    """``dirty``: non-target rows, relabelled. ``clean``: target rows, label kept. ``mix``: any row, set to target."""
    replace: bool
    """Replace the chosen rows instead of appending copies."""
    seed: int


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


@runtime_checkable
class Attack(Protocol):
    """A way to plant a backdoor by poisoning training data."""

    name: str
    defaults: Mapping[str, Any]
    """Default trigger, rate, position and label_mode."""

    def poison(self, rows: Sequence[Any], settings: PoisonSettings) -> PoisonedRows:
        """Return the training set with poisoned rows mixed in.

        Raises:
            DataError: If no row can be poisoned (no row of a non-target class, say).
        """
        ...
