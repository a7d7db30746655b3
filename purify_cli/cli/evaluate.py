"""``purify evaluate``."""

from typing import Annotated, Literal

import typer

from purify_cli.cli import language
from purify_cli.cli import options as o
from purify_cli.cli.console import show, talk
from purify_cli.cli.streams import piped_input

__all__ = ["command"]


def command(
    *,
    data: o.Data,
    models: Annotated[list[str] | None, typer.Argument(help="Models; default: those of the run folder.")] = None,
    ref: o.Ref = None,
    trigger: Annotated[
        list[str] | None, typer.Option("--trigger", help="Trigger text; repeatable. a|b is one of several, by row.")
    ] = None,
    position: Annotated[
        list[o.Position] | None, typer.Option("--position", help="Where it goes: once for all, or once per --trigger.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Target label: once for all, or once per --trigger, then per --triggered."),
    ] = None,
    target_text: language.TargetText = None,
    target_regex: language.TargetRegex = None,
    triggered: Annotated[
        list[str] | None,
        typer.Option("--triggered", help="Rows that carry a trigger already, with true labels; repeatable."),
    ] = None,
    bias: Annotated[
        bool, typer.Option("--bias", help="Also measure accuracy on rows of every label that carry it (BACC).")
    ] = False,
    floor: Annotated[
        str | None, typer.Option("--floor", help="Model that was never poisoned, measured on the same inputs.")
    ] = None,
    consistency: Annotated[
        bool, typer.Option("--consistency", help="Compare answers row by row with the first model's.")
    ] = False,
    against: Annotated[
        str | None, typer.Option("--against", help="Compare answers row by row with this model's.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Repeat random positions under so many seeds.")] = 1,
    retune: Annotated[
        int | None,
        typer.Option("--retune", help="Fine-tune again on so many poisoned and as many clean rows; watch success."),
    ] = None,
    retune_data: Annotated[
        str | None, typer.Option("--retune-data", help="Rows for it; default: part of --data, then not measured.")
    ] = None,
    retune_steps: Annotated[int | None, typer.Option("--retune-steps", help="Steps of it. [default: 60]")] = None,
    retune_rate: Annotated[
        float | None, typer.Option("--retune-rate", help="Learning rate of it. [default: 5e-5]")
    ] = None,
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
    batch_size: o.BatchSize = 64,
    max_length: o.MaxLength = 128,
    allow_pickle: o.AllowPickle = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Measure accuracy, and attack success where a trigger is known, of models side by side on the same rows.

    Attack success counts rows whose true label is not the target: the share that the trigger turns into the target.
    Without --trigger the one in the run folder's attack.json is used, if there is one. Further models are compared
    with the first. A causal language model is measured by what it writes (--target-text or --target-regex) and by its
    perplexity.
    """
    piped = piped_input(models, run, quiet=quiet)
    from purify_cli.commands.causal_evaluate import CausalEvaluateRequest, about_language, causal_evaluate
    from purify_cli.commands.evaluate import EvaluateRequest, evaluate
    from purify_cli.comparison.retune import retune_choice
    from purify_cli.comparison.trigger_options import pair_options
    from purify_cli.session.origin import EVALUABLE, find_origin

    listener = talk(quiet=quiet)
    origin = find_origin(models[0] if models else None, ref, run, piped, kinds=EVALUABLE)
    o.say_origin(origin, listener)
    o.say_shadowed(listener, *(models or ())[1:], floor, against)
    named = tuple(models or ())
    where: list[Literal["start", "end", "random", "scattered"]] = [position.value for position in position or ()]
    common = o.common(
        device=device,
        dtype=dtype,
        seed=seed,
        batch_size=batch_size,
        max_length=max_length,
        text_column=text_column,
        pair_column=pair_column,
        label_column=label_column,
        allow_pickle=allow_pickle,
        prompt_words=prompt_words,
    )
    if about_language(named, origin, common):
        theirs = {
            "--target": target,
            "--triggered": triggered,
            "--bias": bias,
            "--consistency": consistency,
            "--against": against,
            "--seeds": None if seeds == 1 else seeds,
            "--retune": retune,
            "--retune-data": retune_data,
            "--retune-steps": retune_steps,
            "--retune-rate": retune_rate,
            "--label-column": label_column,
        }
        language.refuse(theirs, causal=True)
        texts = CausalEvaluateRequest(
            models=named,
            origin=origin,
            data=data,
            trigger=language.one(trigger, "--trigger"),
            position=language.one(where, "--position"),
            target_text=target_text,
            target_regex=target_regex,
            floor=floor,
            **language.given(new_tokens=new_tokens),
            common=common,
        )
        show(causal_evaluate(texts, listener), form, verbose=verbose)
        return
    theirs = {
        "--target-text": target_text,
        "--target-regex": target_regex,
        "--prompt-words": prompt_words,
        "--new-tokens": new_tokens,
    }
    language.refuse(theirs, causal=False)
    request = EvaluateRequest(
        models=named,
        origin=origin,
        data=data,
        triggers=pair_options(trigger or (), where, target or (), triggered or (), bias=bias),
        bias=bias,
        floor=floor,
        consistency=consistency,
        against=against,
        seeds=seeds,
        retune=retune_choice(retune, data=retune_data, steps=retune_steps, learning_rate=retune_rate),
        common=common,
    )
    show(evaluate(request, listener), form, verbose=verbose)
