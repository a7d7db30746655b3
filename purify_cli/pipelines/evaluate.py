"""``purify evaluate``: measure models side by side on the same rows."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final

from purify_cli.checkpoint import Checkpoint
from purify_cli.data.example import Example
from purify_cli.data.loading import examples_sha256
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, RunFolderError, UsageError
from purify_cli.model import load_classifier, task_of
from purify_cli.pipelines.inputs import (
    Common,
    data_facts,
    label_number,
    model_facts,
    open_model,
    read_rows,
    require_config,
    versions,
)
from purify_cli.pipelines.models import measure, measurement_facts
from purify_cli.pipelines.source import Origin
from purify_cli.progress import SILENT, Progress
from purify_cli.report.schema import (
    AttackRecord,
    Detection,
    Evaluation,
    FinetuneRecord,
    ModelFacts,
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
    planned = _trigger(request, progress)
    question = ""
    rows: list[Example] = []
    found: list[ModelMeasurement] = []
    trigger: TriggerFact | None = None
    with run.logged("evaluate", {"models": [facts.path for facts in named.values()], "data": request.data}):
        for name, facts in progress.track(named.items(), "measuring models", total=len(named)):
            checkpoint = open_model(facts, common)
            base = _architecture(checkpoint, request.origin.reference, common)
            task = task_of(checkpoint)
            rows = read_rows(request.data, task, common)
            if question not in {"", examples_sha256(rows)}:
                raise DataError(
                    f"{request.data} means other labels to {name} than to the model before it",
                    hint="The models name their labels differently: use label numbers in the data.",
                )
            question = examples_sha256(rows)
            known: Trigger | None = None
            if planned is not None:
                known = planned[0]
                target = label_number(planned[1], task)
                trigger = TriggerFact(text=known.text, position=known.position, target=target)
            loaded = load_classifier(checkpoint, config=base.config or {}, task=task, device=common.runtime.device)
            target_label = trigger.target if trigger else None
            measured = measure(loaded, base, rows, common, trigger=known, target=target_label)
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


def _named(request: EvaluateRequest) -> dict[str, ModelFacts]:
    """Name the models: by folder name where that tells them apart, by what the record calls them otherwise."""
    if request.models:
        short = [Path(given).name or given for given in request.models]
        names = short if len(set(short)) == len(short) else list(request.models)
        return {name: ModelFacts(path=given, sha256="") for name, given in zip(names, request.models, strict=True)}
    origin = request.origin
    if origin.record is None or origin.suspect is None:
        raise UsageError("there is no model to evaluate", hint="Name one, or run `purify detect` first.")
    if isinstance(origin.record, Purification):
        detection = None if origin.piped else origin.run.find(Detection)
        if detection is not None and detection.suspect.sha256 != origin.record.suspect.sha256:
            raise RunFolderError(
                f"{origin.run.path} holds a detection and a purification of different suspects",
                hint="Run `purify purify` again, or name the models.",
            )
        return {"suspect": origin.suspect, "purified": origin.record.output}
    return {"finetuned" if isinstance(origin.record, FinetuneRecord) else "suspect": origin.suspect}


def _trigger(request: EvaluateRequest, progress: Progress) -> tuple[Trigger, str] | None:
    """Take the trigger from the options, else from the attack recorded in the run folder."""
    if (request.trigger is None) != (request.target is None):
        raise UsageError("a trigger needs a target, and a target a trigger", hint="Give both --trigger and --target.")
    if request.trigger is not None and request.target is not None:
        return Trigger(request.trigger, request.position or "random"), request.target
    if request.position is not None:
        raise UsageError("--position needs a trigger", hint="Give --trigger and --target as well.")
    attack = request.origin.run.find(AttackRecord)
    if attack is None:
        return None
    progress.note(f"trigger {attack.trigger.text!r} taken from attack.json in {request.origin.run.path}")
    return Trigger(attack.trigger.text, attack.trigger.position), str(attack.trigger.target)


def _architecture(checkpoint: Checkpoint, reference: ModelFacts | None, common: Common) -> Checkpoint:
    """Take config and tokenizer from the reference if one is known, else from the model's own folder."""
    if reference is None:
        return require_config(checkpoint)
    return require_config(open_model(reference, common, vocabulary=checkpoint.vocabulary))
