"""What ``purify purify`` is asked to do, with defaults filled in and settings parsed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, final

import torch

from purify_cli.defences import METHODS
from purify_cli.errors import UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.inputs.settings import parse_settings
from purify_cli.protocols import ResetDefence, Teacher, WeightDefence
from purify_cli.purification.known_search import KnownSearch
from purify_cli.requests.common import Common
from purify_cli.requests.purify import AUTO, PurifyRequest
from purify_cli.requests.readers import assignments, many
from purify_cli.student.teach import STUDENT
from purify_cli.training import TrainingSettings, repair_settings
from purify_cli.trigger_search.found import FoundTrigger, names_trigger

__all__ = [
    "TUNABLE",
    "Composition",
    "Plan",
    "Stage",
    "chosen_method",
    "make_plan",
    "plan_stages",
    "works_on_triggers",
]


def _patience(text: str) -> int | None:
    return None if text == "none" else int(text)


TUNABLE: Final = {"learning_rate": float, "steps": int, "weight_decay": float, "patience": _patience}
"""Settings of the fine-tuning that ``--set`` reaches."""


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """One method of a composition with its settings parsed."""

    method: str
    row: ResetDefence | WeightDefence
    indicator: str | None
    """None where nothing is scored."""
    replacement: Literal["reference", "posterior"]
    settings: dict[str, Any]

    @property
    def needs_triggers(self) -> bool:
        """Whether it works on triggers that were found."""
        return _works_on_triggers(self.row, self.indicator)

    @property
    def ratio(self) -> float | None:
        """The default ratio; None where the stage takes none."""
        if isinstance(self.row, ResetDefence):
            return self.row.ratio if self.indicator is not None else None
        return self.row.ratio


@final
@dataclass(frozen=True, slots=True)
class Composition:
    """One method, or several that work one after the other, and the fine-tuning at the end."""

    method: str
    """``auto`` is settled."""
    stages: tuple[Stage, ...]
    training: TrainingSettings
    teaching: TrainingSettings
    """Of a fine-tuning that has a teacher's answers on texts to learn from: longer, for there is more to learn."""

    @property
    def teacher(self) -> Teacher | None:
        """Whose answers a stage asks for."""
        return next((row.teacher for row in self._resets if row.teacher is not None), None)

    @property
    def anchor(self) -> float:
        """How much of the drift the fine-tuning lets go."""
        return max((row.anchor for row in self._resets), default=0.0)

    @property
    def _resets(self) -> list[ResetDefence]:
        return [stage.row for stage in self.stages if isinstance(stage.row, ResetDefence)]


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """A request with its defaults filled in and its settings parsed."""

    method: str
    ratio: float | Literal["auto"] | None
    """None where no stage takes a ratio."""
    target: Path


def make_plan(request: PurifyRequest, known: KnownSearch, run: RunFolder) -> Plan:
    """Fill in defaults and parse settings.

    Args:
        request: What was asked for.
        known: Of the suspect; its triggers count where there are samples to show them in.
        run: Where the model goes, where nothing else was asked for.

    Raises:
        UsageError: If a name, a setting or a combination is not known.
    """
    samples = request.clean_data is not None or known.samples is not None
    found = known.triggers if samples else ()
    method = chosen_method(
        request.method,
        found,
        texts=request.unlabelled is not None,
        student=known.by_student and samples and request.finetune and request.ratio != "auto",  # not one per fold
    )
    try:
        stages = plan_stages(
            method,
            request.common,
            indicator=request.indicator,
            settings=assignments(request.settings),
            others=many(request.others),
        )
    except UsageError as error:
        if request.method != AUTO or not found:
            raise
        hint = f"{error.hint} detect found {found[0].text!r}, so {method} was chosen: --method chooses another."
        raise UsageError(str(error), hint=hint) from error
    default = _default_ratio(stages.stages)
    if default is None and request.ratio is not None and request.ratio != 0:
        hint = "Leave --ratio out, or choose another --method; see `purify methods`."
        raise UsageError(f"{method} takes no ratio", hint=hint)
    ratio = default if request.ratio is None or default is None else request.ratio
    if ratio == "auto":
        _check_search(request)
    target = Path(request.output or run.path / "purified").absolute()
    return Plan(method, ratio, target)


def chosen_method(method: str, found: Sequence[FoundTrigger], *, texts: bool, student: bool) -> str:
    """Settle ``auto``: by what was found, whether there are unlabelled texts, whether a student learnt the task."""
    if method != AUTO:
        return method
    if texts or (student and not names_trigger(found)):
        return "graft"
    return "unlearning" if found else "fine-purifying"


def works_on_triggers(method: str, indicator: str | None) -> bool:
    """Say whether a method, or several separated by commas, asks for triggers that were found."""
    return method == AUTO or any(_works_on_triggers(METHODS[name.strip()], indicator) for name in method.split(","))


def _works_on_triggers(row: ResetDefence | WeightDefence, indicator: str | None) -> bool:
    unlearns = isinstance(row, ResetDefence) and row.unlearns
    return unlearns or (indicator is not None and INDICATORS[indicator].needs_triggers)


def _check_search(request: PurifyRequest) -> None:
    if not request.finetune:
        raise UsageError(
            "--ratio auto measures accuracy after fine-tuning, so it cannot go with --no-finetune",
            hint="Give a number as --ratio, or leave --no-finetune out.",
        )


def plan_stages(
    method: str,
    common: Common,
    *,
    indicator: str | None = None,
    settings: Mapping[str, str] | None = None,
    others: Sequence[str] = (),
    defaults: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Composition:
    """Take a composition apart and hand each stage its settings.

    Args:
        method: Names from ``METHODS``, separated by commas.
        common: For batch size, precision and seed of the fine-tuning.
        indicator: Scores the dimensions in place of the method's own.
        settings: By name; ``METHOD.name`` reaches one stage, a bare name all stages that know it.
        others: Further suspects; only looked at to refuse them.
        defaults: Of the task (``Task.defaults``), where it is known.

    Raises:
        UsageError: If a name or a setting is not known, two stages both take the ratio, or nothing takes the
            indicator or the further suspects.
    """
    names = [name.strip() for name in method.split(",")]
    rows = {name: METHODS[name] for name in names}
    if len(rows) < len(names):
        raise UsageError(f"--method {method} names a method twice", hint="Each stage works once.")
    rest = dict(settings or {})
    tuned = {name: rest.pop(name) for name in TUNABLE if name in rest}
    try:
        given_tuning = {name: TUNABLE[name](text) for name, text in tuned.items()}
        changes = {**defaults.get("fine-tuning", {}), **given_tuning}
    except ValueError as error:
        raise UsageError(f"--set: {error}", hint="Steps are whole numbers, rates are numbers.") from error
    scoring = [name for name, row in rows.items() if isinstance(row, ResetDefence) and row.indicator is not None]
    if indicator is not None and not scoring:
        raise UsageError(
            f"{method} scores nothing, so it takes no --indicator",
            hint="Choose another --method; see `purify methods`.",
        )
    if others and not any(isinstance(row, WeightDefence) and row.takes_others for row in rows.values()):
        raise UsageError(
            f"{method} takes no further models, so --with has no use", hint="weight-average does; see `purify methods`."
        )
    known = {name: _known(row, indicator) for name, row in rows.items()}
    given = _handed_out(method, rest, known)
    stages = tuple(_stage(name, row, indicator, given[name], defaults) for name, row in rows.items())
    _default_ratio(stages)
    return Composition(
        method,
        stages,
        training=_training(common, repair_settings(**changes), common.compute.dtype),
        teaching=_training(
            common, replace(STUDENT, **{**defaults.get("teaching", {}), **given_tuning}), common.compute.search_dtype
        ),
    )


def _known(row: ResetDefence | WeightDefence, indicator: str | None) -> frozenset[str]:
    """Name the settings of a row."""
    if not isinstance(row, ResetDefence):
        return frozenset(row.defaults)
    scored = indicator or row.indicator if row.indicator is not None else None
    return frozenset() if scored is None else frozenset({"replacement", *INDICATORS[scored].defaults})


def _handed_out(
    method: str, given: Mapping[str, str], known: Mapping[str, frozenset[str]]
) -> dict[str, dict[str, str]]:
    """Give every setting to the stages that know it."""
    handed: dict[str, dict[str, str]] = {stage: {} for stage in known}
    for name, text in given.items():
        stage, _, own = name.rpartition(".")
        takers = [stage] if stage in known else [one for one, names in known.items() if name in names]
        if not takers or (stage in known and own not in known[stage]):
            names = {*(one for names in known.values() for one in names)} | (set() if stage else {*TUNABLE})
            listed = ", ".join(sorted(names)) or "none of its own"
            raise UsageError(f"{method} has no setting {name!r}", hint=f"It has: {listed}.")
        for taker in takers:
            handed[taker][own if stage in known else name] = text
    return handed


def _stage(
    name: str,
    row: ResetDefence | WeightDefence,
    indicator: str | None,
    given: dict[str, str],
    defaults: Mapping[str, Mapping[str, Any]],
) -> Stage:
    if not isinstance(row, ResetDefence):
        return Stage(name, row, None, "reference", parse_settings(row, given, {}))
    if row.indicator is None:
        return Stage(name, row, None, "reference", {})
    replacement = given.pop("replacement", row.replacement)
    if replacement not in ("reference", "posterior"):
        raise UsageError(f"--set replacement={replacement} is not known", hint="Use reference or posterior.")
    scored = indicator or row.indicator
    fixed = {**defaults.get(scored, {}), **({} if indicator else row.settings)}
    settings = parse_settings(INDICATORS[scored], given, fixed)
    if replacement == "posterior" and (scored != "drift-curvature" or settings["degenerate"] != "guard"):
        raise UsageError(
            "a posterior blend needs guarded drift-curvature scores", hint="Leave --indicator and degenerate out."
        )
    return Stage(name, row, scored, replacement, settings)


def _default_ratio(stages: Sequence[Stage]) -> float | None:
    """Return the ratio of the one stage that takes one."""
    taking = {stage.method: stage.ratio for stage in stages if stage.ratio is not None}
    if len(taking) > 1:
        hint = "Compose at most one of them with methods that take none."
        raise UsageError(f"{' and '.join(taking)} both take the ratio", hint=hint)
    return next(iter(taking.values()), None)


def _training(common: Common, base: TrainingSettings, dtype: torch.dtype) -> TrainingSettings:
    compute = common.compute
    return replace(base, seed=compute.seed, dtype=dtype).within(compute.batch_size)
