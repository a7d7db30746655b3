"""``purify`` and ``finetune`` as functions."""

from collections.abc import Mapping
from os import fspath
from pathlib import Path
from typing import Any, Literal, Unpack

from purify_cli.api.options import RUN, Effort, Name, Options, common, origin, settings_text, text
from purify_cli.commands import finetune as tuning
from purify_cli.commands import purify as purifying
from purify_cli.commands.finetune import FinetuneRequest
from purify_cli.progress import SILENT, Progress
from purify_cli.purification.request import PurifyRequest
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification
from purify_cli.session.origin import PURIFIABLE
from purify_cli.session.run_folder import RunFolder

__all__ = ["finetune", "purify"]


def purify(
    suspect: Name | None = None,
    reference: Name | None = None,
    *,
    clean_data: Name | None = None,
    ratio: float | Literal["auto"] | None = None,
    method: str = "auto",
    finetune: bool = True,
    max_drop: float | None = None,
    effort: Effort = "none",
    settings: Mapping[str, Any] | None = None,
    output: Name | None = None,
    overwrite: bool = False,
    run: Name = RUN,
    progress: Progress = SILENT,
    **options: Unpack[Options],
) -> Purification:
    """Reset the most suspicious dimensions to the reference, fine-tune on clean samples, write a safetensors model.

    Args:
        suspect: None takes the model of the run folder, with the words that ``detect`` found in it.
        reference: None takes that of the run folder's record.
        clean_data: Small trusted labelled data.
        ratio: Share of the comparable dimensions to reset, in [0, 1]; ``"auto"`` looks for it.
        method: One of ``purify methods``, or several separated by commas.
        finetune: Whether to tune the result on the clean samples.
        max_drop: Clean accuracy that may be lost, on held-back rows.
        effort: Of a new search, on the purified model.
        settings: The method's own.
        output: Folder of the model; None takes ``purified`` in the run folder.
        overwrite: Whether a model that is there may be replaced.
        run: Folder for the results.
        progress: Told of the stages.
        **options: Device, precision, seed, batches, columns.

    Raises:
        PurifyError: If an input cannot be used, or a model is there already.
    """
    return purifying.purify(
        PurifyRequest(
            origin=origin(suspect, reference, run, PURIFIABLE),
            clean_data=text(clean_data),
            ratio=ratio,
            method=method,
            finetune=finetune,
            max_drop=max_drop,
            effort=None if effort == "none" else effort,
            settings=settings_text(settings),
            output=None if output is None else Path(output),
            overwrite=overwrite,
            common=common(options, batch_size=16),
        ),
        progress,
    )


def finetune(
    model: Name,
    *,
    data: Name,
    reference: Name | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    output: Name | None = None,
    overwrite: bool = False,
    run: Name = RUN,
    progress: Progress = SILENT,
    **options: Unpack[Options],
) -> FinetuneRecord:
    """Fine-tune a model on labelled data, nothing else.

    Args:
        model: A classifier, or an encoder that gets a fresh head.
        data: Labelled rows.
        reference: Whose tokenizer reads the texts.
        epochs: Passes over the data.
        learning_rate: Highest rate of AdamW.
        output: Folder of the model; None takes ``finetuned`` in the run folder.
        overwrite: Whether a model that is there may be replaced.
        run: Folder for the results.
        progress: Told of the steps.
        **options: Device, precision, seed, batches (of a step), columns.

    Raises:
        PurifyError: If model or data cannot be used.
    """
    return tuning.finetune(
        FinetuneRequest(
            model=fspath(model),
            data=fspath(data),
            run=RunFolder(Path(run).absolute()),
            reference=text(reference),
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=options.get("batch_size"),
            output=None if output is None else Path(output),
            overwrite=overwrite,
            common=common(options),
        ),
        progress,
    )
