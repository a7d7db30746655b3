"""What ``purify purify`` is asked to do, with defaults filled in and settings parsed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, final

from purify_cli.defences import METHODS
from purify_cli.errors import UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.pipelines.inputs import Common
from purify_cli.pipelines.scoring import Estimator, parse_settings
from purify_cli.pipelines.source import Origin
from purify_cli.protocols import Repair
from purify_cli.training import TrainingSettings, repair_settings

__all__ = ["Plan", "PurifyRequest", "make_plan"]

TUNABLE: Final = {"learning_rate": float, "steps": int, "weight_decay": float, "patience": int}
"""Settings of the fine-tuning that ``--set`` reaches."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PurifyRequest:
    """What the user asked for."""

    origin: Origin
    clean_data: str | None = None
    method: str = "fine-purifying"
    indicator: str | None = None
    ratio: float | None = None
    estimator: Estimator = "auto"
    finetune: bool = True
    max_drop: float | None = None
    output: Path | None = None
    overwrite: bool = False
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    common: Common = field(default_factory=Common)


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """A request with its defaults filled in and its settings parsed."""

    indicator: str | None
    ratio: float
    replacement: Literal["reference", "posterior"]
    scoring: dict[str, Any]
    training: TrainingSettings
    target: Path


def make_plan(request: PurifyRequest) -> Plan:
    """Fill in defaults and parse settings.

    Raises:
        UsageError: If a name, a setting or a combination is not known.
    """
    repair: Repair = METHODS[request.method]
    indicator = request.indicator or repair.indicator
    ratio = repair.ratio if request.ratio is None else request.ratio
    if repair.indicator is None and (request.indicator is not None or ratio > 0):
        raise UsageError(
            f"{request.method} resets nothing, so it takes neither --indicator nor a ratio above 0",
            hint="Choose another --method; see `purify methods`.",
        )
    rest = dict(request.settings)
    replacement = rest.pop("replacement", repair.replacement)
    if replacement not in ("reference", "posterior"):
        raise UsageError(f"--set replacement={replacement} is not known", hint="Use reference or posterior.")
    tuned = {name: rest.pop(name) for name in TUNABLE if name in rest}
    try:
        changes = {name: TUNABLE[name](text) for name, text in tuned.items()}
    except ValueError as error:
        raise UsageError(f"--set: {error}", hint="Steps are whole numbers, rates are numbers.") from error
    if indicator is None:
        if rest:
            known = ", ".join(TUNABLE)
            raise UsageError(f"{request.method} has no setting {next(iter(rest))!r}", hint=f"It has: {known}.")
        scoring: dict[str, Any] = {}
    else:
        scoring = parse_settings(INDICATORS[indicator], rest, {} if request.indicator else repair.settings)
    if replacement == "posterior" and (indicator != "drift-curvature" or scoring["degenerate"] != "guard"):
        raise UsageError(
            "a posterior blend needs guarded drift-curvature scores", hint="Leave --indicator and degenerate out."
        )
    if ratio in {0.0, 1.0}:
        replacement = "reference"  # nothing or everything: no population is left to weigh
    target = (request.output or request.origin.run.path / "purified").absolute()
    return Plan(indicator, ratio, replacement, scoring, _training(request, changes), target)


def _training(request: PurifyRequest, changes: Mapping[str, Any]) -> TrainingSettings:
    """Settle the fine-tuning; --batch-size bounds a forward pass without changing what a step learns from."""
    base, runtime = repair_settings(**changes), request.common.runtime
    passes = -(-base.batch_size // request.common.batch_size)
    while base.batch_size % passes:
        passes += 1
    return replace(
        base, seed=runtime.seed, dtype=runtime.dtype, batch_size=base.batch_size // passes, accumulation=passes
    )
