"""What ``purify attack`` is asked to do: the request, checked, with defaults filled in and rows read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

from purify_cli.attacks import ATTACKS
from purify_cli.data.example import Example
from purify_cli.data.loading import hold_out, require_classes
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from purify_cli.inputs.opening import label_number, read_rows
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.inputs.settings import typed
from purify_cli.inputs.training_rows import read_training
from purify_cli.model import LabelSet
from purify_cli.protocols import Attack, PoisonSettings
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.readers import assignments
from purify_cli.training import TrainingSettings, attack_settings

__all__ = ["AttackPlan", "make_plan", "own_settings", "training_of"]

TEST_SHARE: Final = 0.1
"""Share of the data kept for measuring the suspect where no --test file is given. Ours."""

OPTIONS: Final = ("trigger", "rate", "position", "label_mode")
"""Defaults that have an option of their own; the others of an attack are reached by --set."""


def training_of(request: AttackRequest) -> TrainingSettings:
    """Return how the suspect is trained, and the unpoisoned model before it where there is one."""
    base, compute = attack_settings(), request.common.compute
    return replace(
        base,
        seed=compute.seed,
        dtype=compute.dtype,
        batch_size=request.batch_size,
        epochs=base.epochs if request.epochs is None else request.epochs,
        learning_rate=base.learning_rate if request.learning_rate is None else request.learning_rate,
        weight_decay=request.weight_decay,
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AttackPlan:
    """A request with its defaults filled in, its settings parsed and its rows read."""

    run: RunFolder
    method: Attack
    settings: PoisonSettings
    trigger: Trigger | None
    """None where the rows are poisoned already and nothing says by what."""
    task: LabelSet
    rows: list[Example]
    """Training rows before poisoning."""
    test: list[Example]
    """Rows to measure on; empty with ``data_only``."""
    carrying: list[Example] | None
    """Rows that carry the trigger already."""

    @property
    def clean(self) -> list[Example]:
        """The training rows that nobody marked as poisoned."""
        return [row for row in self.rows if not row.poisoned]


def make_plan(request: AttackRequest, task: LabelSet | None) -> AttackPlan:
    """Fill in defaults, parse settings and read the rows.

    Args:
        request: What was asked for.
        task: Labels of the classifier to start from; None reads them off the data.

    Raises:
        UsageError: If there is no target, or a setting is unknown or contradicts another.
        DataError: If the rows cannot be used.
    """
    method: Attack = ATTACKS[request.name]
    options = own_settings(method, assignments(request.settings))
    as_it_is = not method.defaults
    _check_combination(request, as_it_is=as_it_is)
    common = request.common
    rows, task = read_training(request.data, task, common, request.label_names, request.progress)
    if not as_it_is:
        rows = [replace(row, poisoned=False) for row in rows]
    settings = _poison_settings(request, method, label_number(str(request.target), task), options)
    known = request.trigger is not None or not as_it_is
    rows, test = _held_out(request, rows, task)
    return AttackPlan(
        run=RunFolder.of(request.run),
        method=method,
        settings=settings,
        trigger=Trigger(settings.trigger, settings.position) if known else None,
        task=task,
        rows=rows,
        test=test,
        carrying=None if request.triggered is None else read_rows(request.triggered, task, common),
    )


def own_settings(method: Attack, given: Mapping[str, str]) -> dict[str, Any]:
    """Lay ``--set`` values over the defaults of the settings that an attack has of its own.

    Raises:
        UsageError: If a name is unknown or a value does not have its default's type.
    """
    settings = {name: value for name, value in method.defaults.items() if name not in OPTIONS}
    for name, text in given.items():
        if name not in settings:
            known = ", ".join(sorted(settings)) or "it has none"
            raise UsageError(f"{method.name} has no setting {name!r}", hint=f"Its settings: {known}.")
        settings[name] = typed(name, text, type(settings[name]))
    return settings


def _check_combination(request: AttackRequest, *, as_it_is: bool) -> None:
    """Refuse options that the attack could only ignore."""
    if not as_it_is:
        if request.triggered is not None:
            raise UsageError(
                f"{request.name} puts its trigger into the test rows itself",
                hint="--triggered is for data that are poisoned already: `purify attack file`.",
            )
        return
    given = {
        "--rate": request.rate is not None,
        "--label-mode": request.label_mode is not None,
        "--replace": request.replace,
        "--data-only": request.data_only,
        "--position without --trigger": request.position is not None and request.trigger is None,
    }
    useless = [name for name, there in given.items() if there]
    if useless:
        raise UsageError(
            f"{useless[0]} means nothing to rows that are poisoned already",
            hint="Leave it out; --trigger or --triggered FILE say what to measure with.",
        )
    if request.trigger is not None and request.triggered is not None:
        raise UsageError("rows that carry a trigger need none put in", hint="Give --trigger or --triggered.")


def _poison_settings(request: AttackRequest, method: Attack, target: int, options: Mapping[str, Any]) -> PoisonSettings:
    defaults: dict[str, Any] = {"trigger": "", "rate": 1.0, "position": "random", "label_mode": "mix"}
    defaults |= method.defaults
    return PoisonSettings(
        target=target,
        trigger=str(defaults["trigger"]) if request.trigger is None else request.trigger,
        rate=float(defaults["rate"]) if request.rate is None else request.rate,
        position=request.position or defaults["position"],
        label_mode=request.label_mode or defaults["label_mode"],
        replace=request.replace,
        seed=request.common.compute.seed,
        options=options,
    )


def _held_out(request: AttackRequest, rows: list[Example], task: LabelSet) -> tuple[list[Example], list[Example]]:
    """Return (training rows, test rows): a file of its own, or a tenth of the rows that are not marked as poisoned."""
    if request.test is not None:
        test = read_rows(request.test, task, request.common)
        require_classes(test, at_least=2)
        return rows, test
    if request.data_only:
        return rows, []
    marked = [row for row in rows if row.poisoned]
    if request.name == "file" and not marked:
        raise DataError(
            "no row is marked as poisoned, so that no clean rows can be kept for measuring",
            hint="Give clean rows with --test, or mark the poisoned ones in a column named poisoned.",
        )
    held = set(map(id, hold_out([row for row in rows if not row.poisoned], TEST_SHARE, request.common.compute.seed)[1]))
    return [row for row in rows if id(row) not in held], [row for row in rows if id(row) in held]
