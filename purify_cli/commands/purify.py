"""``purify purify``: reset the most suspicious dimensions, fine-tune on clean samples, write the result."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from purify_cli.checkpoint import may_replace, staged_folder, write_bytes, write_text
from purify_cli.data.example import Example
from purify_cli.detection.search import search_for_triggers
from purify_cli.detection.second_search import second_search
from purify_cli.evidence.search_outcome import SearchOutcome
from purify_cli.inputs.identity import DataFacts, FileFact, ModelFacts, data_facts, model_facts, versions
from purify_cli.inputs.opening import open_pair, require_reference
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.inputs.task import open_task, read_unlabelled
from purify_cli.inputs.tokens import read_tokens
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Utility, lost, summarised
from purify_cli.model import LoadedModel
from purify_cli.progress import Progress
from purify_cli.purification.clean_rows import (
    CleanSplit,
    clean_rows,
    split_rows,
    texts_to_teach,
    unsplit,
)
from purify_cli.purification.known_search import KnownSearch
from purify_cli.purification.plan import Plan, Stage, make_plan
from purify_cli.purification.ratio_search import RatioChoice, search_ratio
from purify_cli.purification.repair_rounds import Done, Round, describe_choice, repair_in_rounds, worked_on_first
from purify_cli.purification.repair_session import PreparedDefence, RepairSession
from purify_cli.purification.stages import RepairedModel
from purify_cli.purification.verdict import purified_verdict
from purify_cli.purification.verification import UtilityChange
from purify_cli.records.base import TrainingFacts
from purify_cli.records.purification import Purification
from purify_cli.report.card import model_card
from purify_cli.report.curve import draw_curve
from purify_cli.requests.option import refuse_foreign
from purify_cli.requests.purify import PurifyRequest
from purify_cli.requests.readers import assignments, many
from purify_cli.selection.mask import write_mask
from purify_cli.storage.origin import PURIFIABLE, known_search, locate
from purify_cli.storage.ownership import MANIFEST, model_place, require_own_files
from purify_cli.storage.record_files import dump, save_record
from purify_cli.storage.saving import save_model
from purify_cli.training import TrainingResult
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["purify"]

BEYOND: Final = 0.1
"""A search goes on past the budget, so that the curve shows where accuracy falls, until a ratio has lost this much
more: larger ones would only cost time. Ours."""


ROUNDING: Final = 1e-9
"""A loss of exactly the budget is within it, however the fractions are rounded."""


def purify(request: PurifyRequest) -> Purification:
    """Purify a suspect and leave mask, model and manifest in the run folder.

    Raises:
        PurifyError: Before anything is written, if the request or its inputs cannot be used.
    """
    origin, common, progress = locate(request, PURIFIABLE), request.common, request.progress
    run, named, known = origin.run, origin.suspect, known_search(origin.record)
    plan = make_plan(request, known, run)
    reference = require_reference(origin.reference)
    require_own_files(run, MANIFEST, "ratio.png", "curvature.safetensors", "indicator.safetensors", "mask.safetensors")
    if request.output is None:
        model_place(run, "purified", by=MANIFEST)
    models = (named.path, reference.path, *request.others)
    may_replace(plan.target, overwrite=request.overwrite, keep=[*map(Path, models), run.path, Path.cwd()])
    with run.logged("purify", {"method": plan.method, "ratio": plan.ratio, "output": str(plan.target)}):
        opened = open_pair(named, reference, common, progress)
        task = open_task(opened, common)
        refuse_foreign(request, task.kind)
        rows, facts = clean_rows(request, known, plan, task)
        unlabelled = read_unlabelled(request.unlabelled, task, common)
        session = RepairSession(
            opened, task, common, run, progress, texts=texts_to_teach(request, unlabelled, rows, known)
        )
        tokens = read_tokens(opened.reading, progress)
        task.encode(rows)  # what cannot be encoded is refused before anything is computed
        looked = second_search(request, known, session, rows)
        if looked is not None:
            known = replace(known.after(looked), data=facts, seed=common.compute.seed)
            session.texts = texts_to_teach(request, unlabelled, rows, known)
        plan, found = make_plan(request, known, run), known.triggers
        for one in found:
            task.check_target(one)
        split = _split(request, plan, session, rows, known=known, data=facts)
        options: dict[str, Any] = {
            "indicator": request.indicator,
            "estimator": request.estimator,
            "settings": assignments(request.settings),
            "others": many(request.others),
        }
        first = session.prepare(plan.method, split.tuned, **options, triggers=worked_on_first(found))
        curve, ratio = None, plan.ratio
        if ratio == "auto":
            curve = _searched(request, first, split.tuned, options)
            ratio = curve.chosen
        _tell(request, first, known, split)

        def repair(words: Sequence[FoundTrigger], rows: Sequence[Example], *, written: bool) -> Done:
            store = "run" if written else "bench"
            defence = session.prepare(plan.method, rows, **options, triggers=words, store=store)
            return defence.repair(
                ratio,
                rows if request.finetune else (),
                resume=run.path / "training" if written else None,
                progress=progress,
            )

        done = repair_in_rounds(
            session,
            repair,
            split,
            found,
            works_on_words=first.works_on_triggers,
            suspect=session.task.load(opened.pair.suspect),
        )
        loaded, repaired, training = done.loaded, done.repaired, done.training
        weights = session.tuned_weights(repaired, loaded) if training else repaired.weights
        utility = _utility(request, session, split, done)
        again = done.proof.measured(split.held_back, done.worked_on)
        searched = _searched_again(request, session, rows, loaded)
        mask, scored = _stored_mask(run, repaired), repaired.scored
        with staged_folder(plan.target, overwrite=request.overwrite) as folder:
            sha = save_model(
                folder, loaded, like=opened.suspect, base=opened.reference, weights=weights, reading=opened.reading
            )
            record = Purification(
                versions=versions(),
                seed=common.compute.seed,
                run=str(run.path),
                settings=_settings(request, first.stages) | dict(session.task.settings),
                suspect=model_facts(opened.suspect),
                reference=model_facts(opened.reference),
                data=facts,
                unlabelled=data_facts(request.unlabelled, unlabelled) if request.unlabelled else None,
                method=plan.method,
                indicator=scored.facts.name if scored else None,
                stages=list(repaired.stages),
                others=[model_facts(one) for one in session.others(many(request.others))],
                curve=curve,
                curvature=scored.curvature.facts if scored and scored.curvature else None,
                reset=repaired.counts,
                mask=mask,
                training=_told(training, progress),
                utility=utility,
                held_back=split.held_back,
                triggers=again,
                looked=looked,
                search=searched.facts if searched else None,
                tokens=tokens,
                output=ModelFacts(path=str(plan.target), sha256=sha),
                verdict=purified_verdict(utility, curve, again, searched, known=len(found)),
            )
            write_text(folder / MANIFEST, dump(record))
            write_text(folder / "README.md", model_card(record))
        save_record(run, record)
        _plot(run, curve, plan.method, progress)
    return record


def _tell(request: PurifyRequest, defence: PreparedDefence, known: KnownSearch, split: CleanSplit) -> None:
    """Say what is done, before it takes its time."""
    request.progress.note(describe_choice(defence, known))
    if request.finetune and split.tuned:
        request.progress.note(f"fine-tuning on {len(split.tuned)} clean samples")


def _told(training: TrainingResult | None, progress: Progress) -> TrainingFacts | None:
    """Write the fine-tuning down; tell of a number of steps that it chose itself."""
    if training is None:
        return None
    if training.settings.stop is not None and training.stopped_early:
        progress.note(f"{training.steps} of {training.settings.steps} steps: more do not help samples left out")
    return TrainingFacts.of(training)


def _settings(request: PurifyRequest, stages: Sequence[Stage]) -> dict[str, Any]:
    """Collect what could change the result; of a composition, each stage's under its own name."""
    scored = {
        f"{stage.method}.{name}" if len(stages) > 1 else name: value
        for stage in stages
        for name, value in (stage.settings | {"replacement": stage.replacement}).items()
    }
    rest = {"finetune": request.finetune, "estimator": request.estimator}
    rest |= {"effort": request.effort}
    lengths = {"max_length": request.common.compute.max_length, "batch_size": request.common.compute.batch_size}
    return scored | rest | lengths


def _searched(
    request: PurifyRequest,
    defence: PreparedDefence,
    rows: Sequence[Example],
    options: Mapping[str, Any],
) -> RatioChoice:
    """Look for the ratio on the clean samples alone."""
    budget = defence.session.task.max_drop if request.max_drop is None else request.max_drop
    curve = search_ratio(
        defence.session,
        defence.method,
        rows,
        triggers=defence.triggers,
        folds=request.folds,
        seed=request.common.compute.seed,
        stop_below=budget + BEYOND,
        progress=request.progress,
        **options,
    )
    defence.session.clear()
    choice = curve.choose(budget)
    if isinstance(curve.baseline, Proportion):
        may = f"accuracy may fall by {budget:g}, and one sample counts {choice.resolution:.3f}"
    else:
        may = f"perplexity may rise by {budget:.0%}"
    request.progress.note(f"ratio {choice.chosen:g} chosen: {may}")
    return choice


def _plot(run: RunFolder, curve: RatioChoice | None, method: str, progress: Progress) -> None:
    """Draw the curve beside the record; a plot of an earlier search does not outlive it."""
    path = run.path / "ratio.png"
    drawn = None if curve is None else draw_curve(curve, method)
    if drawn is not None:
        write_bytes(path, drawn)
        return
    path.unlink(missing_ok=True)
    if curve is not None:
        progress.note("matplotlib is not installed, so the curve was not drawn; purification.json holds it")


def _stored_mask(run: RunFolder, repaired: RepairedModel) -> FileFact | None:
    """Write the mask; one beside a record that has none would be read as its own."""
    if repaired.mask is None or repaired.scored is None:
        run.mask.unlink(missing_ok=True)
        return None
    run.create()
    sha = write_mask(run.mask, repaired.mask, {"indicator": repaired.scored.facts.name})
    return FileFact(path=str(run.mask), sha256=sha)


def _split(
    request: PurifyRequest,
    plan: Plan,
    session: RepairSession,
    rows: list[Example],
    *,
    known: KnownSearch,
    data: DataFacts | None,
) -> CleanSplit:
    """Hold rows back where something is to be measured on them: what is left of found words, or a budget is kept."""
    budget = request.max_drop is not None and plan.ratio != "auto"  # a search for the ratio has folds of its own
    if rows and (known.triggers or budget):
        return split_rows(rows, session.task, seed=request.common.compute.seed, searched=known.chose_on(data))
    return unsplit(rows)


def _utility(request: PurifyRequest, session: RepairSession, split: CleanSplit, done: Round) -> UtilityChange | None:
    """Say what utility was and is, on held-back rows where there are any."""
    measured: tuple[Utility, Utility] | None = done.proof.utility
    if measured is None and split.tuned:
        before, after = (session.task.utility(model, split.tuned) for model in (done.proof.suspect, done.loaded))
    elif measured is not None:
        before, after = measured
    else:
        return None
    budget = None if request.ratio == "auto" else request.max_drop
    return UtilityChange(
        measured_on=split.held_back.measured_on if split.held_back else "the clean samples that were used for it",
        before=summarised(before),
        after=summarised(after),
        max_drop=budget,
        within_budget=None if budget is None else lost(before, after) <= budget + ROUNDING,
    )


def _searched_again(
    request: PurifyRequest, session: RepairSession, rows: list[Example], loaded: LoadedModel
) -> SearchOutcome | None:
    """Look for triggers in the purified model."""
    if request.effort == "none":
        return None
    request.progress.note("searching the purified model")
    outcome = search_for_triggers(session, rows, request.effort, model=loaded)
    session.clear()
    return outcome
