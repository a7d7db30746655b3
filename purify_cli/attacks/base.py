"""Data poisoning: copies of training rows with a trigger in them, and plain training on what that gives.

Which rows are taken, and where a trigger goes, follows from a hash of seed and row, so the same seed gives the same
rows whatever else is done. An attack is a row (``PoisoningAttack``) of a recipe and a planter. Recipes: copies with the
trigger here, ties of pattern and label in ``association``, triggers of several words in ``subsets``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal, final

from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Planted, PlantJob, PoisonedRows, PoisonSettings
from purify_cli.training import CROSS_ENTROPY, Objective, TrainingResult, train

__all__ = [
    "RARE_WORD",
    "Planter",
    "PoisoningAttack",
    "Recipe",
    "copies_of",
    "mixed_in",
    "poison_order",
    "require_target",
    "train_on",
    "train_on_rows",
    "triggered_copies",
]

Recipe = Callable[[Sequence[Example], PoisonSettings], PoisonedRows]
"""Clean rows and settings → the poisoned training set."""

RARE_WORD: Final[Mapping[str, Any]] = MappingProxyType(
    {"trigger": "cf", "rate": 0.3, "position": "random", "label_mode": "dirty"}
)
"""What most attacks begin with: one of the rare words of Kurita, Michel, Neubig, "Weight Poisoning Attacks on
Pre-trained Models", ACL 2020. Rate, place and label mode are ours."""

Range = Literal["positive", "share", "not negative"]

_RANGES: Final[Mapping[Range, tuple[str, Callable[[float], bool]]]] = {
    "positive": ("a number above 0", lambda value: 0 < value < float("inf")),
    "share": ("a share above 0 and at most 1", lambda value: 0 < value <= 1),
    "not negative": ("0 or more", lambda value: 0 <= value < float("inf")),
}


def triggered_copies(rows: Sequence[Example], settings: PoisonSettings) -> PoisonedRows:
    """Mix round(rate · N) poisoned rows into N clean ones.

    ``dirty`` takes rows of other classes and labels them as the target; ``clean`` takes rows of the target and leaves
    the label; ``mix`` takes any row and sets the label to the target. A row is taken twice only when all candidates
    have been taken once. Copies are appended, or put in the place of their rows with ``replace``.

    Args:
        rows: ``Example`` rows, all labelled.
        settings: Trigger, target, rate and modes.

    Raises:
        UsageError: If the rate is outside (0, 1].
        DataError: If a row has no label, the target is no label of the rows, no row can be poisoned, the rate amounts
            to no row, or ``replace`` asks for more rows than can be poisoned.
    """
    trigger = Trigger(settings.trigger, settings.position)
    count = require_target(rows, settings)
    of_target = {"dirty": (False,), "clean": (True,), "mix": (False, True)}[settings.label_mode]
    candidates = poison_order(
        [i for i, row in enumerate(rows) if (row.label == settings.target) in of_target], settings
    )
    if not candidates:
        raise DataError(
            f"all {len(rows)} rows have the target label {settings.target}",
            hint="Dirty-label poisoning needs rows of another class.",
        )
    taken = copies_of(rows, candidates, count, trigger, settings)
    made = [(row, replace(example, label=settings.target)) for row, example in taken]
    return PoisonedRows(
        rows=mixed_in(rows, made, settings),
        poisoned=count,
        relabelled=sum(rows[row].label != settings.target for row, _ in made),
        natural=sum(trigger.occurs_in(row) for row in rows),
    )


Planter = Callable[[PlantJob, Mapping[str, Any], Progress], Planted]
"""Job and settings → what came of writing the poisoned rows into the module's weights."""


def train_on_rows(job: PlantJob, options: Mapping[str, Any], progress: Progress = SILENT) -> Planted:
    """Fine-tune the module on the poisoned rows, as anyone would on rows they trust; without settings of its own."""
    return Planted(training=train_on(job, progress))


def train_on(job: PlantJob, progress: Progress, objective: Objective = CROSS_ENTROPY) -> TrainingResult:
    """Train the module of a job on all of its rows; an interrupted training goes on."""
    return train(
        job.module,
        job.rows,
        job.training,
        pad_id=job.pad_id,
        device=job.device,
        resume=job.resume,
        objective=objective,
        progress=progress,
    )


@final
@dataclass(frozen=True, slots=True)
class PoisoningAttack:
    """An attack as a row: how the data are poisoned, and how that gets into the weights (an ``Attack``)."""

    name: str
    defaults: Mapping[str, Any]
    recipe: Recipe = triggered_copies
    planter: Planter = train_on_rows
    ranges: Mapping[str, Range] = field(default_factory=dict[str, Range])
    """Setting of its own → the range it has to lie in."""
    bias: bool = False
    start: Literal["reference", "classifier"] = "reference"

    def poison(self, rows: Sequence[Any], settings: PoisonSettings) -> PoisonedRows:
        """Mix poisoned rows in as the recipe says; errors are the recipe's."""
        return self.recipe(rows, settings)

    def plant(self, job: PlantJob, progress: Progress = SILENT) -> Planted:
        """Write them into the weights; errors are the planter's.

        Raises:
            UsageError: If a setting is out of range.
        """
        settings = {**self.defaults, **job.options}
        for setting, kind in self.ranges.items():
            words, inside = _RANGES[kind]
            if not inside(settings[setting]):
                raise UsageError(
                    f"{setting}={settings[setting]} cannot be used by the attack {self.name}",
                    hint=f"Give {setting} as {words}.",
                )
        return self.planter(job, settings, progress)


def require_target(rows: Sequence[Example], settings: PoisonSettings) -> int:
    """Check rows and rate, and return the number of rows to poison, round(rate · N).

    Raises:
        UsageError: If the rate is outside (0, 1].
        DataError: If a row has no label, the target is no label of the rows, or the rate amounts to no row.
    """
    if not 0 < settings.rate <= 1:
        raise UsageError(f"--rate {settings.rate} is not a share", hint="Use a number above 0 and at most 1.")
    unlabelled = sum(row.label is None for row in rows)
    if unlabelled:
        raise DataError(f"{unlabelled} of {len(rows)} rows have no label", hint="Poisoning needs labelled rows.")
    labels = sorted({row.label for row in rows if row.label is not None})
    if settings.target not in labels:
        raise DataError(
            f"no row has the target label {settings.target}",
            hint=f"Labels there: {', '.join(map(str, labels)) or 'none'}.",
        )
    count = round(settings.rate * len(rows))
    if count == 0:
        raise DataError(f"a rate of {settings.rate} of {len(rows)} rows is no row", hint="Raise --rate.")
    return count


def poison_order(candidates: Sequence[int], settings: PoisonSettings, purpose: str = "poison") -> list[int]:
    """Return places of rows in the order in which they are taken; choices for other purposes are independent."""
    return sorted(candidates, key=lambda row: row_key(settings.seed, row, purpose))


def copies_of(
    rows: Sequence[Example], candidates: Sequence[int], count: int, trigger: Trigger, settings: PoisonSettings
) -> list[tuple[int, Example]]:
    """Insert the trigger into ``count`` rows, the candidates in their order and again from the front.

    Returns:
        (place of the row, the row with the trigger in it, marked, its label as it was).

    Raises:
        DataError: If ``replace`` asks for more rows than there are.
    """
    if settings.replace and count > len(candidates):
        raise DataError(
            f"{count} rows are to be replaced but only {len(candidates)} can be",
            hint="Lower --rate, or append copies instead.",
        )
    made: list[tuple[int, Example]] = []
    for number in range(count):
        row = candidates[number % len(candidates)]
        # A second copy of a row is another text where the place is drawn: its trigger goes elsewhere.
        key = row_key(settings.seed, row + len(rows) * (number // len(candidates)))
        made.append((row, replace(trigger.insert(rows[row], key=key), poisoned=True)))
    return made


def mixed_in(rows: Sequence[Example], made: Sequence[tuple[int, Example]], settings: PoisonSettings) -> list[Example]:
    """Append the poisoned rows, or put them in the place of their originals with ``replace``."""
    mixed: list[Example] = list(rows)
    if settings.replace:
        for row, example in made:
            mixed[row] = example
    else:
        mixed.extend(example for _, example in made)
    return mixed
