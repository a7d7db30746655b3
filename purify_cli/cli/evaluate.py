"""``purify evaluate``."""

from typing import Annotated

import typer

from purify_cli.cli import options as o
from purify_cli.cli.console import show, talk

__all__ = ["command"]


def command(
    *,
    data: o.Data,
    models: Annotated[list[str] | None, typer.Argument(help="Models; default: those of the run folder.")] = None,
    ref: o.Ref = None,
    trigger: o.Trigger = None,
    position: o.TriggerPosition = None,
    target: o.Target = None,
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
    Without --trigger the one in the run folder's attack.json is used, if there is one.
    """
    piped = o.piped_input(models)
    from purify_cli.pipelines.evaluate import EvaluateRequest, evaluate
    from purify_cli.pipelines.source import EVALUABLE, find_origin

    listener = talk(quiet=quiet)
    origin = find_origin(models[0] if models else None, ref, run, piped, kinds=EVALUABLE)
    o.say_origin(origin, listener)
    request = EvaluateRequest(
        models=tuple(models or ()),
        origin=origin,
        data=data,
        trigger=trigger,
        position=position.value if position else None,
        target=target,
        common=o.common(
            device=device,
            dtype=dtype,
            seed=seed,
            batch_size=batch_size,
            max_length=max_length,
            text_column=text_column,
            pair_column=pair_column,
            label_column=label_column,
            allow_pickle=allow_pickle,
        ),
    )
    show(evaluate(request, listener), form, verbose=verbose)
