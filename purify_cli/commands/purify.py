"""``purify purify``: reset the most suspicious dimensions, fine-tune on clean samples, write the result."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from purify_cli.checkpoint import may_replace, staged_folder, write_text
from purify_cli.commands.purify_steps import (
    announce,
    chosen_ratio,
    plot,
    searched_again,
    self_tested,
    settings_of,
    split_of,
    stored_mask,
    training_facts,
    utility_change,
    with_known_targets,
)
from purify_cli.data.example import Example
from purify_cli.detection.second_search import second_search
from purify_cli.inputs.identity import ModelFacts, data_facts, model_facts, versions
from purify_cli.inputs.opening import open_pair, require_reference
from purify_cli.inputs.task import open_task, read_unlabelled
from purify_cli.inputs.tokens import read_tokens
from purify_cli.purification.clean_rows import clean_rows, texts_to_teach
from purify_cli.purification.plan import make_plan
from purify_cli.purification.repair_rounds import Done, repair_in_rounds, worked_on_first
from purify_cli.purification.repair_session import RepairSession
from purify_cli.purification.verdict import purified_verdict
from purify_cli.records.purification import Purification
from purify_cli.report.card import model_card
from purify_cli.requests.option import refuse_foreign
from purify_cli.requests.purify import PurifyRequest
from purify_cli.requests.readers import assignments, many
from purify_cli.storage.origin import PURIFIABLE, known_search, locate
from purify_cli.storage.ownership import MANIFEST, model_place, require_own_files
from purify_cli.storage.record_files import dump, save_record
from purify_cli.storage.saving import save_model
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["purify"]


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
        plan, found = make_plan(request, known, run), with_known_targets(known.triggers, task)
        split = split_of(request, plan, session, rows, known=known, data=facts)
        options: dict[str, Any] = {
            "indicator": request.indicator,
            "estimator": request.estimator,
            "settings": assignments(request.settings),
            "others": many(request.others),
        }
        first = session.prepare(plan.method, split.tuned, **options, triggers=worked_on_first(found))
        curve, ratio = None, plan.ratio
        if ratio == "auto":
            curve = chosen_ratio(request, first, split.tuned, options)
            ratio = curve.chosen
        # Before the repair, which takes long as well: whoever stops the test loses nothing else.
        tested = self_tested(
            request, session, split, (plan.method, ratio), options | {"triggers": worked_on_first(found)}
        )
        announce(request, first, known, split)

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
        weights = session.tuned_weights(repaired.weights, loaded) if training else repaired.weights
        utility = utility_change(request, session, split, done)
        again = done.proof.measured(split.held_back, done.worked_on)
        searched = searched_again(request, session, rows, loaded)
        mask, scored = stored_mask(run, repaired), repaired.scored
        with staged_folder(plan.target, overwrite=request.overwrite) as folder:
            sha = save_model(
                folder, loaded, like=opened.suspect, base=opened.reference, weights=weights, reading=opened.reading
            )
            record = Purification(
                versions=versions(),
                seed=common.compute.seed,
                run=str(run.path),
                settings=settings_of(request, first.stages) | dict(session.task.settings),
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
                training=training_facts(training, progress),
                utility=utility,
                held_back=split.held_back,
                triggers=again,
                self_test=tested,
                looked=looked,
                search=searched.facts if searched else None,
                tokens=tokens,
                output=ModelFacts(path=str(plan.target), sha256=sha),
                verdict=purified_verdict(
                    utility, curve, again, searched, known=len(found), skipped=opened.pair.skipped
                ),
            )
            write_text(folder / MANIFEST, dump(record))
            write_text(folder / "README.md", model_card(record))
        save_record(run, record)
        plot(run, curve, plan.method, progress)
    return record
