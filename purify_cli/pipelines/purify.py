"""``purify purify``: reset the most suspicious dimensions, fine-tune on clean samples, write the result."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, final

from purify_cli.checkpoint import staged_folder, write_text
from purify_cli.data.example import Example
from purify_cli.data.loading import hold_out, require_classes
from purify_cli.defences import METHODS
from purify_cli.errors import OutputExists, UsageError
from purify_cli.indicators import INDICATORS
from purify_cli.model import Loaded, Task, current_weights, load_classifier, task_of
from purify_cli.pipelines.inputs import (
    Common,
    data_facts,
    model_facts,
    open_pair,
    read_rows,
    require_reference,
    versions,
)
from purify_cli.pipelines.models import measure, proportion, save_classifier, tune
from purify_cli.pipelines.repair import reset
from purify_cli.pipelines.run_folder import dump
from purify_cli.pipelines.scoring import ClassifierData, parse_settings, score
from purify_cli.pipelines.source import Origin
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Repair
from purify_cli.report.card import model_card
from purify_cli.report.schema import DataFacts, Detection, ModelFacts, Purification, TrainingFacts, Utility, Verdict
from purify_cli.reset import Overlay
from purify_cli.tensors import TensorSource
from purify_cli.training import TrainingSettings, repair_settings

__all__ = ["PurifyRequest", "purify"]

HELD_BACK: Final = 0.25
"""Share of the clean samples kept from curvature and tuning where --max-drop wants an honest accuracy. Ours."""

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
    finetune: bool = True
    max_drop: float | None = None
    output: Path | None = None
    overwrite: bool = False
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    common: Common = field(default_factory=Common)


@final
@dataclass(frozen=True, slots=True)
class _Plan:
    """A request with its defaults filled in and its settings parsed."""

    indicator: str | None
    ratio: float
    replacement: Literal["reference", "posterior"]
    scoring: dict[str, Any]
    training: TrainingSettings
    target: Path


def purify(request: PurifyRequest, progress: Progress = SILENT) -> Purification:
    """Purify a suspect and leave mask, model and manifest in the run folder.

    Raises:
        PurifyError: Before anything is written, if the request or its inputs cannot be used.
    """
    run, common, named = request.origin.run, request.common, request.origin.suspect
    plan = _plan(request)
    if plan.target.exists() and not request.overwrite:
        raise OutputExists(
            f"{plan.target} exists", hint="Pass --overwrite to replace it, or --output for another folder."
        )
    if named is None:
        raise UsageError("there is no suspect", hint="Run `purify detect SUSPECT --ref REFERENCE` first.")
    with run.logged("purify", {"method": request.method, "ratio": plan.ratio, "output": str(plan.target)}):
        reference = require_reference(request.origin.reference)
        opened = open_pair(named.path, reference, common, progress, expect=named.sha256 or None)
        task = task_of(opened.suspect)
        rows, held, facts = _clean_rows(request, task)
        scored = None
        if plan.indicator is not None and plan.ratio > 0:
            data = ClassifierData(rows, task, "clean data") if rows else None
            scored = score(
                opened,
                data,
                indicator_name=plan.indicator,
                settings=plan.scoring,
                run=run,
                common=common,
                progress=progress,
            )
        repaired = reset(opened, scored, ratio=plan.ratio, replacement=plan.replacement, run=run, progress=progress)
        loaded = load_classifier(
            repaired.weights, config=opened.reference.config or {}, task=task, device=common.runtime.device
        )
        training: TrainingFacts | None = None
        utility: Utility | None = None
        weights: TensorSource = repaired.weights
        if request.finetune:
            tokenizer = opened.reference.files
            progress.note(f"fine-tuning on {len(rows)} clean samples")
            training = tune(
                loaded,
                tokenizer,
                rows,
                settings=plan.training,
                common=common,
                progress=progress,
                validation=held or None,
            )
            tuned = dict(current_weights(loaded).tensors)
            tuned |= {copy: tuned[name] for copy, name in opened.pair.tied.items() if name in tuned}
            weights = Overlay(repaired.weights, tuned)
        if rows:
            before = load_classifier(opened.pair.suspect, config=opened.reference.config or {}, task=task)
            utility = _utility(request, before, loaded, opened.reference.files, held or rows, held=bool(held))
        with staged_folder(plan.target, overwrite=request.overwrite) as folder:
            sha = save_classifier(
                folder,
                loaded,
                like=opened.suspect,
                config=opened.reference.config or {},
                tokenizer=opened.reference.files,
                weights=weights,
            )
            record = Purification(
                versions=versions(),
                seed=common.runtime.seed,
                run=str(run.path),
                settings={
                    **plan.scoring,
                    "replacement": plan.replacement,
                    "finetune": request.finetune,
                    "max_length": common.max_length,
                    "batch_size": common.batch_size,
                },
                suspect=model_facts(opened.suspect),
                reference=model_facts(opened.reference),
                data=facts,
                method=request.method,
                indicator=plan.indicator,
                curvature=scored.curvature_facts if scored else None,
                reset=repaired.counts,
                mask=repaired.mask,
                training=training,
                utility=utility,
                output=ModelFacts(path=str(plan.target), sha256=sha),
                verdict=_verdict(utility),
            )
            write_text(folder / "purification.json", dump(record))
            write_text(folder / "README.md", model_card(record))
        run.save(record)
    return record


def _plan(request: PurifyRequest) -> _Plan:
    repair: Repair = METHODS[request.method]
    indicator = request.indicator or repair.indicator
    rest = dict(request.settings)
    replacement = rest.pop("replacement", repair.replacement)
    if replacement not in ("reference", "posterior"):
        raise UsageError(f"--set replacement={replacement} is not known", hint="Use reference or posterior.")
    tuned = {name: rest.pop(name) for name in TUNABLE if name in rest}
    try:
        changes = {name: TUNABLE[name](text) for name, text in tuned.items()}
    except ValueError as error:
        raise UsageError(f"--set: {error}", hint="Steps are whole numbers, rates are numbers.") from error
    runtime = request.common.runtime
    training = replace(repair_settings(), seed=runtime.seed, dtype=runtime.dtype, **changes)
    if indicator is None:
        if rest:
            known = ", ".join(TUNABLE)
            raise UsageError(f"{request.method} has no setting {next(iter(rest))!r}", hint=f"It has: {known}.")
        scoring: dict[str, Any] = {}
    else:
        scoring = parse_settings(INDICATORS[indicator], rest, repair.settings if not request.indicator else {})
    ratio = repair.ratio if request.ratio is None else request.ratio
    target = (request.output or request.origin.run.path / "purified").absolute()
    return _Plan(indicator, ratio, replacement, scoring, training, target)


def _clean_rows(request: PurifyRequest, task: Task) -> tuple[list[Example], list[Example], DataFacts | None]:
    """Read the clean samples: those given, else those that detect used; hold some back where a budget is set."""
    given, record = request.clean_data, request.origin.record
    if given is None and isinstance(record, Detection) and record.data is not None and record.data.per_label:
        given = record.data.path
    if given is None:
        if request.finetune:
            raise UsageError(
                "fine-tuning needs clean samples",
                hint="Give --clean-data FILE (8 to 64 labelled rows), or --no-finetune to stop after the reset.",
            )
        return [], [], None
    rows = read_rows(given, task, request.common)
    require_classes(rows, at_least=2)
    facts = data_facts(given, rows)
    if request.max_drop is None:
        return rows, [], facts
    rest, held = hold_out(rows, HELD_BACK, seed=request.common.runtime.seed)
    return rest, held, facts


def _utility(
    request: PurifyRequest, before: Loaded, after: Loaded, files: Any, rows: list[Example], *, held: bool
) -> Utility:
    first = measure(before, files, rows, request.common).accuracy
    last = measure(after, files, rows, request.common).accuracy
    return Utility(
        measured_on="held-back clean samples" if held else "the clean samples that were tuned on",
        before=proportion(first),
        after=proportion(last),
        max_drop=request.max_drop,
        within_budget=None if request.max_drop is None else first.value - last.value <= request.max_drop,
    )


def _verdict(utility: Utility | None) -> Verdict:
    reasons = ["whether a backdoor is left was not measured; `purify evaluate` measures a trigger that is known"]
    if utility is not None and utility.within_budget is False:
        reasons.append(
            f"clean accuracy fell from {utility.before.value:.3f} to {utility.after.value:.3f}, "
            f"more than --max-drop {utility.max_drop}"
        )
    return Verdict(level="incomplete", reasons=reasons, not_measured=["a search for triggers in the purified model"])
