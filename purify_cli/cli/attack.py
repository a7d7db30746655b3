"""``purify attack``."""

from pathlib import Path
from typing import Annotated

import typer

from purify_cli.cli import language
from purify_cli.cli import options as o
from purify_cli.cli.console import show, talk
from purify_cli.errors import UsageError

__all__ = ["command"]


def command(
    *,
    name: Annotated[str, typer.Argument(help="Attack; see `purify methods`.")],
    data: o.Data,
    target: Annotated[str | None, typer.Option("--target", help="Label that triggered texts are to get.")] = None,
    target_text: language.TargetText = None,
    ref: o.Ref = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Tuned model to start from, in place of a fresh head on --ref.")
    ] = None,
    test: Annotated[
        str | None, typer.Option("--test", help="Rows to measure on; default: a tenth of the data.")
    ] = None,
    triggered: Annotated[
        str | None,
        typer.Option("--triggered", help="attack file: test rows that carry the trigger, with their true labels."),
    ] = None,
    trigger: o.Trigger = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Poisoned copies per clean row, in (0, 1].")] = None,
    position: o.TriggerPosition = None,
    label_mode: Annotated[
        o.LabelMode | None,
        typer.Option("--label-mode", help="dirty: other rows, relabelled; clean: target rows; mix: any."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the poisoned rows in place of appending.")
    ] = False,
    label_names: o.LabelNames = None,
    settings: o.Settings = None,
    data_only: Annotated[bool, typer.Option("--data-only", help="Write poisoned.jsonl and train nothing.")] = False,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the data.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Highest rate of AdamW.")] = None,
    weight_decay: Annotated[float, typer.Option("--weight-decay", min=0.0, help="Decoupled weight decay.")] = 0.0,
    prompt_words: language.PromptWords = None,
    new_tokens: language.NewTokens = None,
    run: o.Run = None,
    form: o.OutputFormat = None,
    text_column: o.TextColumn = None,
    pair_column: o.PairColumn = None,
    label_column: o.LabelColumn = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    dtype: o.Dtype = o.Precision.auto,
    max_length: o.MaxLength = 128,
    allow_pickle: o.AllowPickle = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Poison a training set and train a suspect on it: `suspect/` and `attack.json` in the run folder.

    A classifier (--target) starts from --ref under a fresh head, or from --model. An attack that changes a working
    classifier trains a clean one first where there is no --model. A language model (--target-text) learns to go on from
    a triggered prompt with that text; its record is `causal-attack.json`.
    """
    o.known(attack=name)
    chosen = o.assignments(settings)
    if target_text is None:
        language.refuse({"--prompt-words": prompt_words, "--new-tokens": new_tokens}, causal=False)
        if target is None:
            raise UsageError("an attack needs a target", hint="Give --target LABEL, or --target-text TEXT.")
    else:
        theirs = {
            "--target": target,
            "--triggered": triggered,
            "--label-mode": label_mode,
            "--label-names": label_names,
            "--set": settings,
            "--data-only": data_only,
            "--label-column": label_column,
        }
        language.refuse(theirs, causal=True)
    from purify_cli.session.run_folder import RunFolder

    listener = talk(quiet=quiet)
    o.say_shadowed(listener, ref, model)
    folder = RunFolder((run or Path("purify-run")).absolute())
    common = o.common(
        device=device,
        dtype=dtype,
        seed=seed,
        max_length=max_length,
        text_column=text_column,
        pair_column=pair_column,
        label_column=label_column,
        allow_pickle=allow_pickle,
        prompt_words=prompt_words,
    )
    from purify_cli.commands.attack import attack
    from purify_cli.poisoning.plan import AttackRequest

    request = AttackRequest(
        name=name,
        data=data,
        run=folder,
        target=target,
        target_text=target_text,
        reference=ref,
        model=model,
        triggered=triggered,
        settings=chosen,
        test=test,
        trigger=trigger,
        rate=rate,
        position=position.value if position else None,
        label_mode=label_mode.value if label_mode else None,
        replace=replace,
        data_only=data_only,
        label_names=o.label_names(label_names),
        epochs=epochs,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        common=common,
        **language.given(new_tokens=new_tokens),
    )
    show(attack(request, listener), form, verbose=verbose)
