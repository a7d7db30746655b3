"""``purify attack``: poison a training set and plant what it holds in a suspect, so that defences can be tried."""

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from purify_cli.attacks.subsets import subsets
from purify_cli.checkpoint import may_replace, open_checkpoint, staged_folder, write_text
from purify_cli.commands.attack_texts import attack_language_model
from purify_cli.comparison.table import LabelTrigger, ModelMeasurement
from purify_cli.data.batches import encode
from purify_cli.data.class_names import named
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger, visibility
from purify_cli.errors import DataError
from purify_cli.evaluation import Question, ask, measure, measure_triggered
from purify_cli.inputs.identity import FileFact, ModelFacts, data_facts, model_facts, versions
from purify_cli.inputs.opening import open_model, some_texts, text_length
from purify_cli.inputs.task import classification_task
from purify_cli.model import LabelSet, LoadedModel, load_tokenizer
from purify_cli.poisoning.plan import AttackPlan, make_plan, training_of
from purify_cli.poisoning.plant import Start, footprint, open_start, plant_job
from purify_cli.protocols import PoisonedRows
from purify_cli.records.attack import AttackRecord
from purify_cli.records.base import TrainingFacts
from purify_cli.requests.attack import AttackRequest
from purify_cli.storage.origin import say_shadowed
from purify_cli.storage.ownership import model_place, require_own_files
from purify_cli.storage.record_files import save_record
from purify_cli.storage.saving import overlaid, save_model
from purify_cli.tasks.tuning import tune

__all__ = ["attack", "attack_classifier"]


def attack(request: AttackRequest) -> AttackRecord:
    """Make a suspect (or, with ``data_only``, a poisoned data file) in the run folder.

    Raises:
        PurifyError: If models, data, target, trigger or settings cannot be used; before anything is trained.
    """
    say_shadowed(request.progress, request.reference, request.model)
    return attack_classifier(request) if request.target_text is None else attack_language_model(request)


def attack_classifier(request: AttackRequest) -> AttackRecord:
    """Attack a classifier; arguments and errors as for ``attack``."""
    start = None if request.data_only else open_start(request)
    plan, progress = make_plan(request, start.task if start else None), request.progress
    asked = None if start is None else _SuspectProbe(request, plan, start)
    made = plan.method.poison(plan.rows, plan.settings)
    cut = 0 if asked is None else asked.cut(made.rows)
    if cut:
        progress.note(f"truncation cuts the trigger out of {cut} poisoned training rows; --max-length decides")
    summary = {"attack": request.name, "trigger": plan.settings.trigger, "rate": plan.settings.rate}
    _check_places(request, plan, start)
    with plan.run.logged("attack", summary):
        plan.run.create()
        record = _described(request, plan, start, made, {"trigger_cut": cut} if cut else {})
        if start is None or asked is None:
            written = _write_rows(plan.run.path / "poisoned.jsonl", made.rows, plan.task)
            record = _filled(record, {"training_data": written})
        else:
            record = _filled(record, _planted(request, plan, start, made=made, asked=asked, record=record))
        save_record(plan.run, record)
    return record


def _filled(record: AttackRecord, found: Mapping[str, Any]) -> AttackRecord:
    """Add what is known only now; ``model_copy`` would not check it."""
    return AttackRecord.model_validate({**dict(record), **found})


def _check_places(request: AttackRequest, plan: AttackPlan, start: Start | None) -> None:
    """Refuse a run folder in which something stands that is not this tool's, before anything is trained."""
    if start is None:
        require_own_files(plan.run, "attack.json", "poisoned.jsonl")
        return
    require_own_files(plan.run, "attack.json", "planted.safetensors")
    given = [Path(one) for one in (request.model, request.reference) if one is not None]
    for name in ("suspect", "clean") if _trains_its_start(plan, start) else ("suspect",):
        may_replace(model_place(plan.run, name), overwrite=True, keep=[*given, plan.run.path])


def _trains_its_start(plan: AttackPlan, start: Start) -> bool:
    return plan.method.start == "classifier" and start.model is None


@contextmanager
def _saved(start: Start, folder: Path, loaded: LoadedModel) -> Generator[tuple[Path, ModelFacts], None, None]:
    """Write the classifier as it is now; at the end of the block it gets its place, replacing an older one.

    Yields:
        Where it lies until then, and what the records say of it.
    """
    weights = overlaid(start.model, loaded) if start.model else None
    keep = [Path(start.model.files.given)] if start.model else []
    with staged_folder(folder, overwrite=True, keep=keep) as staged:
        sha = save_model(staged, loaded, like=start.like, base=start.base, weights=weights)
        yield staged, ModelFacts(path=str(folder), sha256=sha)


def _trained_start(request: AttackRequest, plan: AttackPlan, start: Start) -> Start:
    """Train the clean classifier that the attack changes, where none was given, into ``clean`` of the run folder."""
    compute, progress = request.common.compute, request.progress
    progress.note(f"{request.name} changes a working classifier: training a clean one on {len(plan.clean)} rows first")
    loaded = start.load(plan.task, seed=compute.seed, device=compute.device)
    tokenizer = load_tokenizer(start.base.files, rows=loaded.vocabulary, texts=some_texts(plan.clean))
    task = classification_task(start.base, tokenizer, request.common, plan.task)
    resume = plan.run.path / "clean-training"
    tune(task, loaded, plan.clean, training_of(request), resume=resume, progress=progress)
    with _saved(start, plan.run.path / "clean", loaded) as (_, facts):
        pass
    return replace(start, model=open_model(facts, request.common))


def _described(
    request: AttackRequest, plan: AttackPlan, start: Start | None, made: PoisonedRows, more: dict[str, Any]
) -> AttackRecord:
    """Say what was done to the data; everything that needs a model is still missing."""
    settings, common, own = plan.settings, request.common, bool(plan.method.defaults)
    facts = {**made.facts, **more}
    relabelled = facts.pop("relabelled", made.relabelled)
    label_mode = facts.pop("label_mode", settings.label_mode)
    return AttackRecord(
        versions=versions(),
        seed=common.compute.seed,
        run=str(plan.run.path),
        settings={
            "replace": request.replace,
            "max_length": common.compute.max_length,
            "label_names": list(plan.task.label_names),
            **settings.options,
        },
        attack=request.name,
        reference=model_facts(start.reference) if start and start.reference else None,
        data=data_facts(request.data, plan.rows, classes=plan.task.num_labels),
        trigger=LabelTrigger(
            text=plan.trigger.text if plan.trigger else "",
            position=settings.position,
            target=settings.target,
            bias=plan.method.bias,
            rows=str(Path(request.triggered).absolute()) if request.triggered else None,
        ),
        rate=settings.rate if own else None,
        label_mode=label_mode if own else None,
        rows=len(made.rows),
        poisoned=made.poisoned,
        relabelled=relabelled,
        natural=made.natural,
        facts=facts,
    )


def _planted(
    request: AttackRequest,
    plan: AttackPlan,
    start: Start,
    *,
    made: PoisonedRows,
    asked: "_SuspectProbe",
    record: AttackRecord,
) -> dict[str, Any]:
    """Train and measure; return the fields of the record that this fills."""
    run, compute, progress = plan.run, request.common.compute, request.progress
    if _trains_its_start(plan, start):
        start = _trained_start(request, plan, start)
    loaded = start.load(plan.task, seed=compute.seed, device=compute.device)
    before: ModelMeasurement | None = None
    if start.model is not None:
        before = asked.answers("start", model_facts(start.model), loaded)
    progress.note(f"{request.name}: training a suspect on {len(made.rows)} rows, {made.poisoned} of them poisoned")
    job = plant_job(request, plan, start, made.rows, loaded)
    planted = plan.method.plant(job, progress)
    # Everything is measured before the suspect gets its place: another process may put one there at any time, and
    # one that is there without a record could not be told from somebody's own.
    with _saved(start, run.path / "suspect", loaded) as (staged, suspect):
        fields: dict[str, Any] = {
            "start": model_facts(start.model) if start.model else None,
            "start_measurement": before,
            "suspect": suspect,
            "training": TrainingFacts.of(planted.training),
            "measurement": asked.answers("suspect", suspect, loaded),
            "false_triggers": asked.false_triggers(loaded),
            "facts": {**record.facts, **planted.facts},
        }
        if start.model is not None:
            with open_checkpoint(str(staged)) as written:
                changed, dimensions, mask = footprint(written, start, run.path / "planted.safetensors")
            fields |= {"changed": changed, "dimensions": dimensions, "planted": mask}
    return fields


@final
class _SuspectProbe:
    """What start and suspect are asked; made before anything is trained, so that it is refused in time."""

    def __init__(self, request: AttackRequest, plan: AttackPlan, start: Start) -> None:
        self.common, self.plan = request.common, plan
        self.tokenizer = load_tokenizer(start.base.files, rows=start.like.vocabulary, texts=some_texts(plan.test))
        self.length = text_length(start.base, request.common)
        self.question = self._question(plan.test, plan.trigger, carrying=plan.carrying)
        parts = subsets(plan.trigger) if plan.trigger and plan.trigger.position == "scattered" else ()
        others = [row for row in plan.test if row.label != plan.settings.target]
        self.parts = {text: self._question(others, Trigger(text, "scattered")) for text in parts}

    def _question(
        self, rows: Sequence[Example], trigger: Trigger | None, carrying: Sequence[Example] | None = None
    ) -> Question:
        return ask(
            self.tokenizer,
            rows,
            trigger=trigger,
            target=self.plan.settings.target,
            max_length=self.length,
            seed=self.common.compute.seed,
            bias=self.plan.method.bias,
            carrying=carrying,
        )

    def cut(self, rows: Sequence[Example]) -> int:
        """Count the poisoned rows that hold the trigger and, cut to the length limit, no longer show it.

        Raises:
            DataError: If those are all of them: nothing would be learnt.
        """
        trigger = self.plan.trigger
        if trigger is None:
            return 0
        holding = [row for row in rows if row.poisoned and trigger.occurs_in(row)]
        visible = visibility(self.tokenizer, trigger)
        lost = sum(not visible(row.ids) for row in encode(self.tokenizer, holding, max_length=self.length))
        if holding and lost == len(holding):
            raise DataError(
                f"the trigger {trigger.text!r} is cut off in all {lost} poisoned training rows",
                hint=f"Raise --max-length (now {self.length}), or put the trigger at the start.",
            )
        return lost

    def answers(self, name: str, model: ModelFacts, loaded: LoadedModel) -> ModelMeasurement:
        """Measure one classifier."""
        return ModelMeasurement.of(name, model, measure(loaded.module, self.question, self.common.compute))

    def false_triggers(self, loaded: LoadedModel) -> dict[str, Any]:
        """Measure how often a part of a trigger, of which all words are needed, brings the target about."""
        return {
            text: measure_triggered(loaded.module, question, self.common.compute).attack_success
            for text, question in self.parts.items()
        }


def _write_rows(path: Path, rows: Sequence[Example], task: LabelSet) -> FileFact:
    """Write rows; labels by name where classes have names, so that no other order of them can be meant."""
    labels: Sequence[int | str] = task.label_names if named(task.label_names) else range(task.num_labels)
    lines = []
    for row in rows:
        text = {"text": row.text} if row.pair is None else {"text_a": row.text, "text_b": row.pair}
        label = None if row.label is None else labels[row.label]
        lines.append(json.dumps({**text, "label": label, "poisoned": row.poisoned}, ensure_ascii=False) + "\n")
    text = "".join(lines)
    write_text(path, text)
    return FileFact(path=str(path), sha256=hashlib.sha256(text.encode()).hexdigest())
