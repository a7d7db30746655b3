"""``purify evaluate``: measure models side by side on the same rows."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final

from purify_cli.checkpoint import Checkpoint, open_checkpoint
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import CheckpointError, RunFolderError, UsageError
from purify_cli.model import load_classifier, task_of
from purify_cli.pipelines.inputs import Common, data_facts, label_number, model_facts, read_rows, versions
from purify_cli.pipelines.models import measure, measurement_facts
from purify_cli.pipelines.source import Origin
from purify_cli.progress import SILENT, Progress
from purify_cli.report.schema import (
    AttackRecord,
    Detection,
    Evaluation,
    FinetuneRecord,
    ModelMeasurement,
    Purification,
    TriggerFact,
)

__all__ = ["EvaluateRequest", "evaluate"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """What the user asked for."""

    models: tuple[str, ...]
    """Named models; empty where a record names them."""
    origin: Origin
    data: str
    reference: str | None = None
    trigger: str | None = None
    position: Literal["start", "end", "random"] | None = None
    target: str | None = None
    common: Common = field(default_factory=Common)


def evaluate(request: EvaluateRequest, progress: Progress = SILENT) -> Evaluation:
    """Measure accuracy, and attack success where a trigger is known, of every model on the same rows.

    Raises:
        PurifyError: If a model, the data, the trigger or the target cannot be used.
    """
    run, common = request.origin.run, request.common
    named = _named(request)
    planned = _trigger(request, named)
    rows: list[Example] = []
    found: list[ModelMeasurement] = []
    trigger: TriggerFact | None = None
    with run.logged("evaluate", {"models": list(named.values()), "data": request.data}):
        for name, given in progress.track(named.items(), "measuring models", total=len(named)):
            checkpoint = open_checkpoint(given, allow_pickle=common.allow_pickle)
            base = _architecture(checkpoint, request.reference or request.origin.reference)
            task = task_of(checkpoint)
            rows = rows or read_rows(request.data, task, common)
            known: Trigger | None = None
            if planned is not None:
                known, target = planned[0], label_number(planned[1], task)
                trigger = TriggerFact(text=known.text, position=known.position, target=target)
            loaded = load_classifier(checkpoint, config=base.config or {}, task=task, device=common.runtime.device)
            target_label = trigger.target if trigger else None
            measured = measure(loaded, base.files, rows, common, trigger=known, target=target_label)
            found.append(measurement_facts(name, model_facts(checkpoint), measured))
        record = Evaluation(
            versions=versions(),
            seed=common.runtime.seed,
            run=str(run.path),
            settings={"max_length": common.max_length, "batch_size": common.batch_size},
            data=data_facts(request.data, rows),
            trigger=trigger,
            models=found,
        )
        run.save(record)
    return record


def _named(request: EvaluateRequest) -> dict[str, str]:
    """Name the models: by folder name where that tells them apart, by what the record calls them otherwise."""
    if request.models:
        short = [Path(given).name or given for given in request.models]
        names = short if len(set(short)) == len(short) else list(request.models)
        return dict(zip(names, request.models, strict=True))
    record, suspect = request.origin.record, request.origin.suspect
    if record is None or suspect is None:
        raise UsageError("there is no model to evaluate", hint="Name one, or run `purify detect` first.")
    if isinstance(record, Purification):
        detection = request.origin.run.find(Detection)
        if detection is not None and detection.suspect.sha256 != record.suspect.sha256:
            raise RunFolderError(
                f"{request.origin.run.path} holds a detection and a purification of different suspects",
                hint="Run `purify purify` again, or name the models.",
            )
        return {"suspect": suspect.path, "purified": record.output.path}
    return {"finetuned" if isinstance(record, FinetuneRecord) else "suspect": suspect.path}


def _trigger(request: EvaluateRequest, named: dict[str, str]) -> tuple[Trigger, str] | None:
    """Take the trigger from the options, else from the attack that made this suspect."""
    if (request.trigger is None) != (request.target is None):
        raise UsageError("a trigger needs a target, and a target a trigger", hint="Give both --trigger and --target.")
    if request.trigger is not None and request.target is not None:
        return Trigger(request.trigger, request.position or "random"), request.target
    attack = request.origin.run.find(AttackRecord)
    suspect = request.origin.suspect
    if attack is None or attack.suspect is None:
        return None
    same = suspect.sha256 == attack.suspect.sha256 if suspect else attack.suspect.path in map(_absolute, named.values())
    return (Trigger(attack.trigger.text, attack.trigger.position), str(attack.trigger.target)) if same else None


def _absolute(given: str) -> str:
    return str(Path(given).absolute())


def _architecture(checkpoint: Checkpoint, reference: str | None) -> Checkpoint:
    """Take config and tokenizer from the reference if one is named, else from the model's own folder.

    Raises:
        CheckpointError: If neither has them.
    """
    if reference is not None:
        return open_checkpoint(reference)
    if checkpoint.config is None or checkpoint.files.tokenizer is None:
        raise CheckpointError(
            f"{checkpoint.files.given} has no configuration or tokenizer beside it",
            hint="Name the model it was tuned from: --ref bert-base, or a folder.",
        )
    return checkpoint
