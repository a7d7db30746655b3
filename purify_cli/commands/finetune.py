"""``purify finetune``: fine-tune a model on data, nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import fspath
from pathlib import Path
from typing import Any, final

from purify_cli.checkpoint import Checkpoint, may_replace, staged_folder
from purify_cli.data.continuations import holds_labels, load_texts
from purify_cli.data.example import Example
from purify_cli.errors import PairError
from purify_cli.inputs.identity import ModelFacts, data_facts, model_facts, versions
from purify_cli.inputs.opening import open_model, require_config, some_texts
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.inputs.task import causal_task, classification_task
from purify_cli.inputs.tokens import read_tokens
from purify_cli.inputs.training_rows import read_training
from purify_cli.model import LoadedModel, has_head, label_set, new_classifier
from purify_cli.model.causal import is_causal
from purify_cli.model.foreign import check_tokenizer
from purify_cli.model.reading import Reading
from purify_cli.records.base import TrainingFacts
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.requests.finetune import FinetuneRequest
from purify_cli.requests.option import refuse_foreign
from purify_cli.session.origin import say_shadowed
from purify_cli.session.ownership import model_place, require_own_files
from purify_cli.session.record_files import save_record
from purify_cli.session.saving import overlaid, save_model
from purify_cli.tasks.base import Task
from purify_cli.tasks.tuning import tune
from purify_cli.training import TrainingSettings, repair_settings

__all__ = ["finetune"]


@final
@dataclass(frozen=True, slots=True)
class _Prepared:
    """A model with what it is trained on."""

    task: Task
    loaded: LoadedModel
    rows: Sequence[Example]
    fresh: bool
    """Whether its head is new, so that nothing of it is in the files it started from."""
    label_names: tuple[str, ...]


def finetune(request: FinetuneRequest) -> FinetuneRecord:
    """Fine-tune a classifier, a pre-trained model under a fresh head, or a language model, and write it.

    Raises:
        PurifyError: If the model or the data cannot be used.
    """
    run, common, progress = RunFolder.of(request.run), request.common, request.progress
    say_shadowed(progress, request.model, request.reference)
    require_own_files(run, "finetune.json")
    target = Path(request.output or model_place(run, "finetuned")).absolute()
    overwrite = request.overwrite or request.output is None
    may_replace(target, overwrite=overwrite, keep=[Path(request.model), run.path, Path.cwd()])
    start = open_model(ModelFacts.named(request.model), common)
    base = start
    if request.reference is not None:
        base = open_model(ModelFacts.named(request.reference), common, vocabulary=start.vocabulary)
    require_config(base)
    reading = Reading(start, base)
    ready = _prepared(request, start, base, reading)
    refuse_foreign(request, ready.task.kind)
    if reading.order or reading.unmatched:
        raise PairError(
            "the model's tokenizer numbers tokens otherwise than the reference's",
            hint="Leave --ref out: the model's own tokenizer is used then.",
        )
    task, rows = ready.task, ready.rows
    check_tokenizer(base.files, some_texts(rows))
    task.encode(rows)  # what cannot be encoded is refused before anything is written
    settings = _settings(request)
    with run.logged("finetune", {"model": fspath(request.model), "data": fspath(request.data)}):
        read_tokens(reading, progress)
        progress.note(f"fine-tuning on {len(rows)} rows")
        training = tune(task, ready.loaded, rows, settings, resume=run.path / "training", progress=progress)
        with staged_folder(target, overwrite=overwrite) as folder:
            weights = None if ready.fresh else overlaid(start, ready.loaded)
            sha = save_model(folder, ready.loaded, like=start, base=base, weights=weights, reading=reading)
            record = FinetuneRecord(
                versions=versions(),
                seed=common.compute.seed,
                run=str(run.path),
                settings=_recorded(request, ready),
                start=model_facts(start),
                # A model that got a fresh head, or is no classifier, is itself the reference of what came out.
                reference=model_facts(base) if request.reference or ready.fresh or not ready.label_names else None,
                data=data_facts(request.data, rows, classes=len(ready.label_names)),
                training=TrainingFacts.of(training),
                output=ModelFacts(path=str(target), sha256=sha),
            )
        save_record(run, record)
    return record


def _prepared(request: FinetuneRequest, start: Checkpoint, base: Checkpoint, reading: Reading) -> _Prepared:
    """Load model and data: labelled rows make a classifier, texts a language model."""
    common = request.common
    if not has_head(start) and is_causal(start, base.config) and not holds_labels(request.data, common.columns):
        rows = load_texts(request.data, common.columns)
        causal = causal_task(base, reading.tokenizer, common)
        return _Prepared(causal, causal.load(start), rows, fresh=False, label_names=())
    known = label_set(start) if has_head(start) else None
    rows, labels = read_training(request.data, known, common, request.label_names, request.progress)
    task = classification_task(base, reading.tokenizer, common, labels)
    if known is not None:
        return _Prepared(task, task.load(start), rows, fresh=False, label_names=labels.label_names)
    compute = common.compute
    loaded = new_classifier(start, labels, seed=compute.seed, device=compute.device, config=base.config)
    return _Prepared(task, loaded, rows, fresh=True, label_names=labels.label_names)


def _settings(request: FinetuneRequest) -> TrainingSettings:
    compute = request.common.compute
    length = {"steps": request.steps} if request.steps else {"epochs": request.epochs} if request.epochs else {}
    chosen = repair_settings(seed=compute.seed, dtype=compute.dtype, weight_decay=request.weight_decay, **length)
    return replace(
        chosen,
        learning_rate=chosen.learning_rate if request.learning_rate is None else request.learning_rate,
        batch_size=request.batch_size,
    )


def _recorded(request: FinetuneRequest, ready: _Prepared) -> dict[str, Any]:
    settings: dict[str, Any] = {"max_length": request.common.compute.max_length}
    if ready.label_names:
        return settings | {"label_names": list(ready.label_names)}
    return settings | dict(ready.task.settings)
