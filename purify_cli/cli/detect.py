"""``purify detect``."""

from typing import Annotated

import typer

from purify_cli.cli import language
from purify_cli.cli import options as o
from purify_cli.cli.console import show, talk
from purify_cli.cli.streams import piped_input

__all__ = ["command"]


def command(
    *,
    suspect: Annotated[str | None, typer.Argument(help="Suspect: file, folder, hub id or alias.")] = None,
    ref: o.Ref = None,
    clean_data: o.CleanData = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="The clean data have no labels.")] = False,
    indicator: o.Indicator = None,
    estimator: o.CurvatureEstimator = o.Estimator.auto,
    settings: o.Settings = None,
    effort: Annotated[
        o.Effort, typer.Option("--effort", help="How much the search for triggers looks at; none leaves it out.")
    ] = o.Effort.normal,
    run: o.Run = None,
    fail_on: o.FailOnLevel = o.FailOn.never,
    form: o.OutputFormat = None,
    text_column: o.TextColumn = None,
    pair_column: o.PairColumn = None,
    label_column: o.LabelColumn = None,
    prompt_words: language.PromptWords = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    dtype: o.SearchDtype = o.Precision.auto,
    batch_size: o.BatchSize = 16,
    max_length: o.MaxLength = 128,
    allow_pickle: o.AllowPickle = False,
    allow_nonfinite: o.AllowNonfinite = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Compare SUSPECT with its reference: what differs, which words flip it, which dimensions drifted out of line.

    SUSPECT is a classifier, or a causal language model: then the words are those after which it writes one thing
    whatever the prompt.

    Without --clean-data, built-in texts serve to measure the curvature and to search for triggers. The results stay in
    the run folder, where `purify purify` finds them; SUSPECT may also come from a record on standard input.
    """
    chosen = o.assignments(settings)
    o.known(indicator=indicator)
    piped = piped_input(suspect, run, quiet=quiet)
    from purify_cli.commands.detect import DetectRequest, detect
    from purify_cli.session.origin import DETECTABLE, find_origin

    listener = talk(quiet=quiet)
    origin = find_origin(suspect, ref, run, piped, kinds=DETECTABLE)
    o.say_origin(origin, listener)
    request = DetectRequest(
        origin=origin,
        clean_data=clean_data,
        unlabelled=unlabelled,
        indicator=indicator,
        estimator=estimator.value,
        settings=chosen,
        effort=None if effort is o.Effort.none else effort.value,
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
    record = detect(request, listener)
    show(record, form, verbose=verbose)
    o.leave(record.verdict.level, fail_on)
