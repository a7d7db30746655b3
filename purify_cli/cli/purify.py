"""``purify purify``."""

from typing import Annotated

import typer

from purify_cli.cli import language
from purify_cli.cli import options as o
from purify_cli.cli.console import show, talk
from purify_cli.cli.streams import piped_input

__all__ = ["command"]


def command(
    *,
    suspect: Annotated[str | None, typer.Argument(help="Suspect; default: that of the run folder.")] = None,
    ref: o.Ref = None,
    clean_data: o.CleanData = None,
    ratio: Annotated[
        str | None,
        typer.Option("--ratio", help="Share of comparable dimensions to reset, 0 to 1; auto looks for it."),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Parts of the clean samples for --ratio auto.")] = 4,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="Defence, or several in order: e-pur,fine-mixing; see `purify methods`. auto: unlearning where detect "
            "flagged a word, else fine-purifying.",
        ),
    ] = "auto",
    others: Annotated[
        list[str] | None, typer.Option("--with", metavar="MODEL", help="Further suspect to average; repeatable.")
    ] = None,
    indicator: o.Indicator = None,
    estimator: o.CurvatureEstimator = o.Estimator.auto,
    settings: o.Settings = None,
    effort: Annotated[
        o.Effort, typer.Option("--effort", help="How much a new search, on the purified model, looks at.")
    ] = o.Effort.none,
    no_finetune: Annotated[bool, typer.Option("--no-finetune", help="Write the reset model as it is.")] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            min=0.0,
            max=1.0,
            help="Clean accuracy that may be lost on held-back rows, or by how much a language model's perplexity may "
            "rise; with --ratio auto 0.02, or 5 % (0.05), if left out.",
        ),
    ] = None,
    output: o.Output = None,
    overwrite: o.Overwrite = False,
    run: o.Run = None,
    fail_on: o.FailOnLevel = o.FailOn.never,
    form: o.OutputFormat = None,
    text_column: o.TextColumn = None,
    pair_column: o.PairColumn = None,
    label_column: o.LabelColumn = None,
    prompt_words: language.PromptWords = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    dtype: o.Dtype = o.Precision.auto,
    batch_size: o.BatchSize = 16,
    max_length: o.MaxLength = 128,
    allow_pickle: o.AllowPickle = False,
    allow_nonfinite: o.AllowNonfinite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Reset the most suspicious dimensions to the reference, fine-tune on clean samples, write a safetensors model.

    Without SUSPECT the record on standard input names it, else the run folder. The number of dimensions reset is
    exactly round(ratio · d) (a posterior blend aside); ratio 0 only fine-tunes, ratio 1 resets all that can be.
    Words that detect found to be planted say what is reset, are unlearnt on the clean samples, and measured again on a
    quarter of these that is held back from all of it; of fewer than 16 samples each half measures the other's repair.
    Ratio auto takes the largest one that keeps clean accuracy, or a language model's perplexity, cross-validated on the
    clean samples alone, within --max-drop of plain fine-tuning.
    """
    share = "auto" if ratio == "auto" else o.parse_ratio(ratio)
    chosen = o.assignments(settings)
    o.known(indicator=indicator)
    for name in method.split(",") if method != "auto" else ():
        o.known(method=name.strip())
    piped = piped_input(suspect, run, quiet=quiet)
    from purify_cli.commands.purify import purify
    from purify_cli.purification.request import PurifyRequest
    from purify_cli.session.origin import find_origin

    listener = talk(quiet=quiet)
    origin = find_origin(suspect, ref, run, piped)
    o.say_origin(origin, listener)
    request = PurifyRequest(
        origin=origin,
        clean_data=clean_data,
        method=method,
        indicator=indicator,
        ratio=share,
        folds=folds,
        others=tuple(others or ()),
        finetune=not no_finetune,
        effort=None if effort is o.Effort.none else effort.value,
        max_drop=max_drop,
        output=output,
        overwrite=overwrite,
        estimator=estimator.value,
        settings=chosen,
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
            prompt_words=prompt_words,
            allow_nonfinite=allow_nonfinite,
        ),
    )
    record = purify(request, listener)
    show(record, form, verbose=verbose)
    over_budget = record.utility is not None and record.utility.within_budget is False
    o.leave(record.verdict.level, fail_on, failed=over_budget)
