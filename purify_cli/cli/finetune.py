"""``purify finetune``."""

from typing import Annotated

import typer

from purify_cli.cli import language
from purify_cli.cli import options as o
from purify_cli.cli.console import show, talk

__all__ = ["command"]


def command(
    *,
    model: Annotated[str, typer.Argument(help="Model to start from: file, folder, hub id or alias.")],
    data: o.Data,
    ref: o.Ref = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the data.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps, in place of epochs.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Highest rate of AdamW.")] = None,
    weight_decay: Annotated[float, typer.Option("--weight-decay", min=0.0, help="Decoupled weight decay.")] = 0.0,
    label_names: o.LabelNames = None,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    run: o.Run = None,
    form: o.OutputFormat = None,
    text_column: o.TextColumn = None,
    pair_column: o.PairColumn = None,
    label_column: o.LabelColumn = None,
    prompt_words: language.PromptWords = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    dtype: o.Dtype = o.Precision.auto,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Texts per step. [default: 16]")] = None,
    max_length: o.MaxLength = 128,
    allow_pickle: o.AllowPickle = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Fine-tune MODEL on data and write it.

    On labelled data a model without a classification head gets a fresh one. On texts, or prompts with completions, a
    causal language model learns the next token.
    """
    from pathlib import Path

    from purify_cli.commands.finetune import FinetuneRequest, finetune
    from purify_cli.errors import UsageError
    from purify_cli.session.run_folder import RunFolder

    if epochs is not None and steps is not None:
        raise UsageError("--epochs and --steps exclude each other", hint="Give one of the two.")
    listener = talk(quiet=quiet)
    o.say_shadowed(listener, model, ref)
    request = FinetuneRequest(
        model=model,
        data=data,
        run=RunFolder((run or Path("purify-run")).absolute()),
        reference=ref,
        epochs=epochs,
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        label_names=o.label_names(label_names),
        weight_decay=weight_decay,
        output=output,
        overwrite=overwrite,
        common=o.common(
            device=device,
            dtype=dtype,
            seed=seed,
            max_length=max_length,
            text_column=text_column,
            pair_column=pair_column,
            label_column=label_column,
            allow_pickle=allow_pickle,
            prompt_words=prompt_words,
        ),
    )
    show(finetune(request, listener), form, verbose=verbose)
