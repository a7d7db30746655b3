"""``purify attack``: poison a training set and train a suspect on it, so that defences can be tried."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, final

from purify_cli.attacks import ATTACKS
from purify_cli.checkpoint import Checkpoint, open_checkpoint, staged_folder, write_text
from purify_cli.data.example import Example
from purify_cli.data.loading import hold_out, load_examples, require_classes
from purify_cli.data.triggers import Trigger, trigger_forms
from purify_cli.errors import UsageError
from purify_cli.model import Loaded, Task, load_tokenizer, new_classifier
from purify_cli.pipelines.inputs import Common, data_facts, label_number, model_facts, versions
from purify_cli.pipelines.models import measure, measurement_facts, save_classifier, tune
from purify_cli.pipelines.run_folder import RunFolder
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Attack, PoisonedRows, PoisonSettings
from purify_cli.report.schema import AttackRecord, FileFact, ModelFacts, ModelMeasurement, TrainingFacts, TriggerFact
from purify_cli.training import attack_settings

__all__ = ["AttackRequest", "attack", "classification_task"]

TEST_SHARE: Final = 0.1
"""Share of the data kept for measuring the suspect where no --test file is given. Ours."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AttackRequest:
    """What the user asked for; None takes the attack's default."""

    name: str
    data: str
    target: str
    run: RunFolder
    reference: str | None = None
    test: str | None = None
    trigger: str | None = None
    rate: float | None = None
    position: Literal["start", "end", "random"] | None = None
    label_mode: Literal["dirty", "clean", "mix"] | None = None
    replace: bool = False
    data_only: bool = False
    epochs: int | None = None
    learning_rate: float | None = None
    weight_decay: float = 0.0
    common: Common = field(default_factory=Common)


def attack(request: AttackRequest, progress: Progress = SILENT) -> AttackRecord:
    """Make a suspect (or, with ``data_only``, a poisoned data file) in the run folder.

    Raises:
        PurifyError: If the data, the target or the trigger cannot be used.
    """
    method: Attack = ATTACKS[request.name]
    run, common = request.run, request.common
    reference = None if request.data_only else open_checkpoint(_reference(request), allow_pickle=common.allow_pickle)
    rows = load_examples(request.data, columns=common.columns)
    require_classes(rows, at_least=2)
    task = classification_task(rows)
    settings = _poison_settings(request, method, label_number(request.target, task))
    trigger = Trigger(settings.trigger, settings.position)
    test: list[Example] = []
    if request.test is None and not request.data_only:
        rows, test = hold_out(rows, TEST_SHARE, seed=common.runtime.seed)
    elif request.test is not None:
        test = load_examples(request.test, num_labels=task.num_labels, columns=common.columns)
        require_classes(test, at_least=2)
    if reference is not None:
        trigger_forms(load_tokenizer(reference.files), trigger)  # refuses a trigger that the model cannot see
    poisoned = method.poison(rows, settings)
    with run.logged("attack", {"attack": request.name, "trigger": settings.trigger, "rate": settings.rate}):
        run.create()
        suspect: ModelFacts | None = None
        training: TrainingFacts | None = None
        measured: ModelMeasurement | None = None
        file: FileFact | None = None
        if reference is None:
            file = _write_rows(run.path / "poisoned.jsonl", poisoned.rows)
        else:
            loaded, suspect, training = _train(request, reference, task, poisoned, progress)
            outcome = measure(loaded, reference, test, common, trigger=trigger, target=settings.target)
            measured = measurement_facts("suspect", suspect, outcome)
        record = AttackRecord(
            versions=versions(),
            seed=common.runtime.seed,
            run=str(run.path),
            settings={"replace": request.replace, "max_length": common.max_length},
            attack=request.name,
            reference=model_facts(reference) if reference else None,
            data=data_facts(request.data, rows),
            trigger=TriggerFact(text=trigger.text, position=trigger.position, target=settings.target),
            rate=settings.rate,
            label_mode=settings.label_mode,
            rows=len(poisoned.rows),
            poisoned=poisoned.poisoned,
            relabelled=poisoned.relabelled,
            natural=poisoned.natural,
            suspect=suspect,
            training_data=file,
            training=training,
            measurement=measured,
        )
        run.save(record)
    return record


def _reference(request: AttackRequest) -> str:
    if request.reference is None:
        raise UsageError(
            "an attack needs a model to start from", hint="Give --ref, or --data-only to poison the data alone."
        )
    return request.reference


def classification_task(rows: Sequence[Example]) -> Task:
    """Read the number of classes off the labels of a training set."""
    count = max(row.label for row in rows if row.label is not None) + 1
    return Task(count, tuple(f"LABEL_{number}" for number in range(count)))


def _poison_settings(request: AttackRequest, method: Attack, target: int) -> PoisonSettings:
    def chosen(name: str, given: object) -> object:
        return method.defaults[name] if given is None else given

    return PoisonSettings(
        target=target,
        trigger=str(chosen("trigger", request.trigger)),
        rate=float(str(chosen("rate", request.rate))),
        position=request.position or method.defaults["position"],
        label_mode=request.label_mode or method.defaults["label_mode"],
        replace=request.replace,
        seed=request.common.runtime.seed,
    )


def _train(
    request: AttackRequest, reference: Checkpoint, task: Task, poisoned: PoisonedRows, progress: Progress
) -> tuple[Loaded, ModelFacts, TrainingFacts]:
    common, folder = request.common, request.run.path / "suspect"
    base = attack_settings()
    chosen = replace(
        base,
        seed=common.runtime.seed,
        dtype=common.runtime.dtype,
        epochs=base.epochs if request.epochs is None else request.epochs,
        learning_rate=base.learning_rate if request.learning_rate is None else request.learning_rate,
        weight_decay=request.weight_decay,
    )
    loaded = new_classifier(reference, task, seed=common.runtime.seed, device=common.runtime.device)
    progress.note(f"training a suspect on {len(poisoned.rows)} rows, {poisoned.poisoned} of them poisoned")
    training = tune(
        loaded,
        reference,
        poisoned.rows,
        settings=chosen,
        common=common,
        progress=progress,
        resume=request.run.path / "training",
    )
    with staged_folder(folder, overwrite=True) as staged:
        sha = save_classifier(staged, loaded, like=reference, base=reference)
    return loaded, ModelFacts(path=str(folder), sha256=sha), training


def _write_rows(path: Path, rows: Sequence[Example]) -> FileFact:
    lines = []
    for row in rows:
        text = {"text": row.text} if row.pair is None else {"text_a": row.text, "text_b": row.pair}
        lines.append(json.dumps({**text, "label": row.label, "poisoned": row.poisoned}, ensure_ascii=False) + "\n")
    text = "".join(lines)
    write_text(path, text)
    return FileFact(path=str(path), sha256=hashlib.sha256(text.encode()).hexdigest())
