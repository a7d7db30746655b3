"""``purify purify``: reset the most suspicious dimensions, fine-tune on clean samples, write the result."""

from pathlib import Path
from typing import Final

from purify_cli.checkpoint import may_replace, staged_folder, write_text
from purify_cli.data.example import Example
from purify_cli.data.loading import hold_out, require_classes
from purify_cli.errors import RunFolderError, UsageError
from purify_cli.measures.intervals import Proportion
from purify_cli.model import Loaded, Task, current_weights, load_classifier, task_of
from purify_cli.pipelines.inputs import (
    Common,
    Opened,
    data_facts,
    model_facts,
    open_pair,
    read_rows,
    require_reference,
    versions,
)
from purify_cli.pipelines.models import measure, proportion, save_classifier, tune
from purify_cli.pipelines.plan import Plan, PurifyRequest, make_plan
from purify_cli.pipelines.repair import reset
from purify_cli.pipelines.run_folder import dump
from purify_cli.pipelines.scoring import ClassifierData, score
from purify_cli.progress import SILENT, Progress
from purify_cli.report.card import model_card
from purify_cli.report.schema import DataFacts, Detection, ModelFacts, Purification, TrainingFacts, Utility, Verdict
from purify_cli.reset import Overlay
from purify_cli.tensors import TensorSource

__all__ = ["purify"]

HELD_BACK: Final = 0.25
"""Share of the clean samples kept from curvature and tuning where --max-drop wants an honest accuracy. Ours."""


def purify(request: PurifyRequest, progress: Progress = SILENT) -> Purification:
    """Purify a suspect and leave mask, model and manifest in the run folder.

    Raises:
        PurifyError: Before anything is written, if the request or its inputs cannot be used.
    """
    run, common, named = request.origin.run, request.common, request.origin.suspect
    plan = make_plan(request)
    if named is None:
        raise UsageError("there is no suspect", hint="Run `purify detect SUSPECT --ref REFERENCE` first.")
    reference = require_reference(request.origin.reference)
    keep = [Path(named.path), Path(reference.path), run.path, Path.cwd()]
    may_replace(plan.target, overwrite=request.overwrite, keep=keep)
    with run.logged("purify", {"method": request.method, "ratio": plan.ratio, "output": str(plan.target)}):
        opened = open_pair(named, reference, common, progress)
        task = task_of(opened.suspect)
        rows, held, facts = _clean_rows(request, task)
        scored = None
        if plan.indicator is not None and plan.ratio > 0:
            scored = score(
                opened,
                ClassifierData(rows, task, "clean data", request.estimator) if rows else None,
                indicator_name=plan.indicator,
                settings=plan.scoring,
                run=run,
                common=common,
                progress=progress,
            )
        before = _clean_accuracy(opened, opened.pair.suspect, task, held or rows, common)
        repaired = reset(
            opened,
            scored,
            ratio=plan.ratio,
            replacement=plan.replacement,
            run=run,
            seed=common.runtime.seed,
            progress=progress,
        )
        weights, training = repaired.weights, None
        loaded = _load(opened, weights, task, common)
        if request.finetune:
            weights, training = _tuned(
                request, opened, loaded, plan=plan, weights=weights, data=(rows, held), progress=progress
            )
        after = measure(loaded, opened.reference, held or rows, common).accuracy if rows else None
        utility = _utility(request, before, after, held=bool(held)) if before and after else None
        with staged_folder(plan.target, overwrite=request.overwrite) as folder:
            sha = save_classifier(folder, loaded, like=opened.suspect, base=opened.reference, weights=weights)
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
                indicator=plan.indicator if scored else None,
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


def _load(opened: Opened, weights: TensorSource, task: Task, common: Common) -> Loaded:
    return load_classifier(weights, config=opened.reference.config or {}, task=task, device=common.runtime.device)


def _clean_accuracy(
    opened: Opened, weights: TensorSource, task: Task, rows: list[Example], common: Common
) -> Proportion | None:
    if not rows:
        return None
    return measure(_load(opened, weights, task, common), opened.reference, rows, common).accuracy


def _tuned(
    request: PurifyRequest,
    opened: Opened,
    loaded: Loaded,
    *,
    plan: Plan,
    weights: TensorSource,
    data: tuple[list[Example], list[Example]],
    progress: Progress,
) -> tuple[TensorSource, TrainingFacts]:
    """Fine-tune in place; return all tensors of the suspect's files, tied copies included."""
    rows, held = data
    progress.note(f"fine-tuning on {len(rows)} clean samples")
    training = tune(
        loaded,
        opened.reference,
        rows,
        settings=plan.training,
        common=request.common,
        progress=progress,
        # Held-back rows choose the step only where early stopping was asked for: else they stay unseen.
        validation=held if held and plan.training.patience else None,
        resume=request.origin.run.path / "training",
    )
    tensors = dict(current_weights(loaded).tensors)
    tensors |= {copy: tensors[name] for copy, name in opened.pair.tied.items() if name in tensors}
    return Overlay(weights, tensors), training


def _clean_rows(request: PurifyRequest, task: Task) -> tuple[list[Example], list[Example], DataFacts | None]:
    """Read the clean samples: those given, else those that detect used; hold some back where that is wanted."""
    given, record = request.clean_data, request.origin.record
    promised = record.data if isinstance(record, Detection) and record.data and record.data.per_label else None
    if given is None and promised is not None:
        given = promised.path
    else:
        promised = None
    if given is None:
        if request.finetune or request.max_drop is not None or request.estimator != "auto":
            raise UsageError(
                "fine-tuning, --max-drop and --estimator need clean samples",
                hint="Give --clean-data FILE (8 to 64 labelled rows), or --no-finetune to stop after the reset.",
            )
        return [], [], None
    rows = read_rows(given, task, request.common)
    require_classes(rows, at_least=2)
    facts = data_facts(given, rows)
    if promised is not None and promised.sha256 != facts.sha256:
        raise RunFolderError(
            f"{given} has changed since `purify detect` read it", hint="Run detect again, or give --clean-data."
        )
    if request.max_drop is None and "patience" not in request.settings:
        return rows, [], facts
    rest, held = hold_out(rows, HELD_BACK, seed=request.common.runtime.seed)
    require_classes(rest, at_least=2)
    return rest, held, facts


def _utility(request: PurifyRequest, before: Proportion, after: Proportion, *, held: bool) -> Utility:
    allowed = None if request.max_drop is None else request.max_drop * before.total + 1e-9
    return Utility(
        measured_on="held-back clean samples" if held else "the clean samples that were used for it",
        before=proportion(before),
        after=proportion(after),
        max_drop=request.max_drop,
        within_budget=None if allowed is None else before.successes - after.successes <= allowed,
    )


def _verdict(utility: Utility | None) -> Verdict:
    reasons = ["whether a backdoor is left was not measured; `purify evaluate` measures a trigger that is known"]
    if utility is not None and utility.within_budget is False:
        reasons.append(
            f"clean accuracy fell from {utility.before.value:.3f} to {utility.after.value:.3f}, "
            f"more than --max-drop {utility.max_drop}"
        )
    return Verdict(level="incomplete", reasons=reasons, not_measured=["a search for triggers in the purified model"])
