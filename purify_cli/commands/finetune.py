"""``purify finetune``: fine-tune a model on labelled data, nothing else."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

from purify_cli.checkpoint import may_replace, staged_folder
from purify_cli.errors import PairError
from purify_cli.model import has_head, load_classifier, new_classifier, task_of
from purify_cli.model.reading import Reading
from purify_cli.progress import SILENT, Progress
from purify_cli.records.base import ModelFacts
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.session.classifiers import encoded, overlaid, save_classifier, tune
from purify_cli.session.opening import Common, data_facts, model_facts, open_model, require_config, versions
from purify_cli.session.ownership import claim, model_place
from purify_cli.session.run_folder import RunFolder
from purify_cli.session.tokens import read_tokens
from purify_cli.session.training_rows import read_training
from purify_cli.training import repair_settings

__all__ = ["FinetuneRequest", "finetune"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneRequest:
    """What the user asked for."""

    model: str
    data: str
    run: RunFolder
    reference: str | None = None
    epochs: int | None = None
    steps: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    label_names: tuple[str, ...] | None = None
    """Names for the classes of the model, in the order of their numbers."""
    weight_decay: float = 0.0
    output: Path | None = None
    overwrite: bool = False
    common: Common = field(default_factory=Common)


def finetune(request: FinetuneRequest, progress: Progress = SILENT) -> FinetuneRecord:
    """Fine-tune a classifier, or a pre-trained model under a fresh head, and write it.

    Raises:
        PurifyError: If the model or the data cannot be used.
    """
    run, common = request.run, request.common
    claim(run, "finetune.json")
    target = (request.output or model_place(run, "finetuned")).absolute()
    overwrite = request.overwrite or request.output is None
    may_replace(target, overwrite=overwrite, keep=[Path(request.model), run.path, Path.cwd()])
    start = open_model(ModelFacts(path=request.model, sha256=""), common)
    base = start
    if request.reference is not None:
        base = open_model(ModelFacts(path=request.reference, sha256=""), common, vocabulary=start.vocabulary)
    require_config(base)
    device, seed, headed = common.runtime.device, common.runtime.seed, has_head(start)
    task = task_of(start) if headed else None
    rows, task = read_training(request.data, task, common, request.label_names, progress)
    if headed:
        loaded = load_classifier(start, config=base.config or {}, task=task, device=device)
    else:
        loaded = new_classifier(start, task, seed=seed, device=device, config=base.config)
    reading = Reading(start, base)
    if reading.order or reading.unmatched:
        raise PairError(
            "the model's tokenizer numbers tokens otherwise than the reference's",
            hint="Leave --ref out: the model's own tokenizer is used then.",
        )
    encoded(
        loaded, base, rows, common, reading.tokenizer
    )  # what cannot be encoded is refused before anything is written
    length = {"steps": request.steps} if request.steps else {"epochs": request.epochs} if request.epochs else {}
    chosen = repair_settings(seed=seed, dtype=common.runtime.dtype, weight_decay=request.weight_decay, **length)
    chosen = replace(
        chosen,
        learning_rate=chosen.learning_rate if request.learning_rate is None else request.learning_rate,
        batch_size=request.batch_size or chosen.batch_size,
    )
    with run.logged("finetune", {"model": request.model, "data": request.data}):
        read_tokens(reading, progress)
        progress.note(f"fine-tuning on {len(rows)} rows")
        training = tune(
            loaded,
            base,
            rows,
            settings=chosen,
            common=common,
            tokenizer=reading.tokenizer,
            progress=progress,
            resume=run.path / "training",
        )
        with staged_folder(target, overwrite=overwrite) as folder:
            weights = overlaid(start, loaded) if headed else None
            sha = save_classifier(folder, loaded, like=start, base=base, weights=weights, reading=reading)
            record = FinetuneRecord(
                versions=versions(),
                seed=seed,
                run=str(run.path),
                settings={"max_length": common.max_length, "label_names": list(task.label_names)},
                start=model_facts(start),
                # A model that got a fresh head is itself the reference of what came out.
                reference=model_facts(base) if request.reference or not headed else None,
                data=data_facts(request.data, rows, classes=task.num_labels),
                training=training,
                output=ModelFacts(path=str(target), sha256=sha),
            )
        run.save(record)
    return record
