"""``purify finetune``: fine-tune a model on data, nothing else."""

from dataclasses import replace
from os import fspath
from pathlib import Path

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
from purify_cli.model.suspect_tokenizer import SuspectTokenizer
from purify_cli.model.tokenizer_sandbox import check_tokenizer
from purify_cli.records.base import TrainingFacts
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.requests.finetune import FinetuneRequest
from purify_cli.requests.option import refuse_foreign
from purify_cli.storage.origin import say_shadowed
from purify_cli.storage.ownership import model_place, require_own_files
from purify_cli.storage.record_files import save_record
from purify_cli.storage.saving import overlaid, save_model
from purify_cli.tasks.base import Task
from purify_cli.tasks.classification import Classification
from purify_cli.tasks.tuning import tune
from purify_cli.training import TrainingSettings, repair_settings

__all__ = ["finetune"]


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
    reading = SuspectTokenizer(start, base)
    task, loaded, rows = _prepared(request, start, base, reading)
    refuse_foreign(request, task.kind)
    if reading.order or reading.unmatched:
        raise PairError(
            "the model's tokenizer numbers tokens otherwise than the reference's",
            hint="Leave --ref out: the model's own tokenizer is used then.",
        )
    names = task.labels.label_names if isinstance(task, Classification) else ()
    fresh = bool(names) and not has_head(start)  # nothing of a new head is in the files that it started from
    check_tokenizer(base.files, some_texts(rows))
    task.encode(rows)  # what cannot be encoded is refused before anything is written
    settings = _settings(request)
    with run.logged("finetune", {"model": fspath(request.model), "data": fspath(request.data)}):
        read_tokens(reading, progress)
        progress.note(f"fine-tuning on {len(rows)} rows")
        training = tune(task, loaded, rows, settings, resume=run.path / "training", progress=progress)
        with staged_folder(target, overwrite=overwrite) as folder:
            weights = None if fresh else overlaid(start, loaded)
            sha = save_model(folder, loaded, like=start, base=base, weights=weights, reading=reading)
            record = FinetuneRecord(
                versions=versions(),
                seed=common.compute.seed,
                run=str(run.path),
                settings={
                    "max_length": common.compute.max_length,
                    **({"label_names": list(names)} if names else task.settings),
                },
                start=model_facts(start),
                # A model that got a fresh head, or is no classifier, is itself the reference of what came out.
                reference=model_facts(base) if request.reference or fresh or not names else None,
                data=data_facts(request.data, rows, classes=len(names)),
                training=TrainingFacts.of(training),
                output=ModelFacts(path=str(target), sha256=sha),
            )
        save_record(run, record)
    return record


def _prepared(
    request: FinetuneRequest, start: Checkpoint, base: Checkpoint, reading: SuspectTokenizer
) -> tuple[Task, LoadedModel, list[Example]]:
    """Load model and data: labelled rows make a classifier, texts a language model."""
    common = request.common
    if not has_head(start) and is_causal(start, base.config) and not holds_labels(request.data, common.columns):
        rows = load_texts(request.data, common.columns)
        causal = causal_task(base, reading.tokenizer, common)
        return causal, causal.load(start), rows
    known = label_set(start) if has_head(start) else None
    rows, labels = read_training(request.data, known, common, request.label_names, request.progress)
    task = classification_task(base, reading.tokenizer, common, labels)
    if known is not None:
        return task, task.load(start), rows
    compute = common.compute
    loaded = new_classifier(start, labels, seed=compute.seed, device=compute.device, config=base.config)
    return task, loaded, rows


def _settings(request: FinetuneRequest) -> TrainingSettings:
    compute = request.common.compute
    length = {"steps": request.steps} if request.steps else {"epochs": request.epochs} if request.epochs else {}
    chosen = repair_settings(seed=compute.seed, dtype=compute.dtype, weight_decay=request.weight_decay, **length)
    return replace(
        chosen,
        learning_rate=chosen.learning_rate if request.learning_rate is None else request.learning_rate,
        batch_size=request.batch_size,
    )
