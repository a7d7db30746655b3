"""Options that several commands share, so that a name means the same everywhere."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from purify_cli.errors import UsageError

if TYPE_CHECKING:
    from purify_cli.progress import Progress
    from purify_cli.session.opening import Common
    from purify_cli.session.origin import Origin

__all__ = [
    "FOUND",
    "AllowNonfinite",
    "AllowPickle",
    "BatchSize",
    "CleanData",
    "CurvatureEstimator",
    "Data",
    "Device",
    "Dtype",
    "Effort",
    "Estimator",
    "FailOn",
    "FailOnLevel",
    "Format",
    "Indicator",
    "LabelColumn",
    "LabelMode",
    "LabelNames",
    "MaxLength",
    "Output",
    "OutputFormat",
    "Overwrite",
    "PairColumn",
    "Position",
    "Precision",
    "Quiet",
    "Ref",
    "Run",
    "Seed",
    "Settings",
    "Target",
    "TextColumn",
    "Trigger",
    "TriggerPosition",
    "Verbose",
    "assignments",
    "common",
    "known",
    "label_names",
    "leave",
    "parse_ratio",
    "say_origin",
    "say_shadowed",
]

FOUND: Final = 64
"""Exit status of a verdict at or above --fail-on, before ``main`` translates it to 1."""


class Format(StrEnum):
    """How a record is shown."""

    text = "text"
    json = "json"


class FailOn(StrEnum):
    """From which verdict on a command ends in 1."""

    never = "never"
    suspicious = "suspicious"
    poisoned = "poisoned"


class Position(StrEnum):
    """Where a trigger goes."""

    start = "start"
    end = "end"
    random = "random"
    scattered = "scattered"


class LabelMode(StrEnum):
    """Which rows are poisoned, and whether their label changes."""

    dirty = "dirty"
    clean = "clean"
    mix = "mix"


class Estimator(StrEnum):
    """How the curvature is estimated."""

    auto = "auto"
    empirical = "empirical"
    true = "true"
    hutchinson = "hutchinson"


class Effort(StrEnum):
    """How much the search for triggers looks at."""

    none = "none"
    low = "low"
    normal = "normal"
    high = "high"


class Precision(StrEnum):
    """Compute type of training and evaluation."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


Ref = Annotated[
    str | None, typer.Option("--ref", help="Reference: the pre-trained model (file, folder, hub id, alias).")
]
Run = Annotated[Path | None, typer.Option("--run", help="Run folder shared by the commands. [default: purify-run]")]
CleanData = Annotated[
    str | None,
    typer.Option("--clean-data", help="Small trusted data, labelled or texts (jsonl, csv, parquet, hub id, …)."),
]
Data = Annotated[
    str, typer.Option("--data", help="Labelled data, or texts (jsonl, json, csv, tsv, parquet, arrow, hub id).")
]
TextColumn = Annotated[str | None, typer.Option("--text-column", help="Column of the text.")]
PairColumn = Annotated[str | None, typer.Option("--pair-column", help="Column of the second text of a pair.")]
LabelNames = Annotated[
    str | None,
    typer.Option("--label-names", metavar="A,B,...", help="Names of the classes, in the order of their numbers."),
]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="Column of the label.")]
Indicator = Annotated[str | None, typer.Option("--indicator", help="How dimensions are scored; see `purify methods`.")]
CurvatureEstimator = Annotated[
    Estimator, typer.Option("--estimator", help="Curvature; auto: empirical Fisher with labels, true Fisher without.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A method's own setting; repeatable.")
]
Trigger = Annotated[str | None, typer.Option("--trigger", help="Trigger text.")]
TriggerPosition = Annotated[Position | None, typer.Option("--position", help="Where the trigger goes.")]
Target = Annotated[str | None, typer.Option("--target", help="Target label, as a number or a label name.")]
Output = Annotated[Path | None, typer.Option("--output", help="Folder of the model that is written.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")]
AllowPickle = Annotated[bool, typer.Option("--allow-pickle", help="Read pickled weights (tensors only, no code).")]
AllowNonfinite = Annotated[bool, typer.Option("--allow-nonfinite", help="Reset NaN and infinite weights.")]
FailOnLevel = Annotated[
    FailOn, typer.Option("--fail-on", help="End in 1 from this verdict on, and in 2 where it is incomplete.")
]
OutputFormat = Annotated[Format | None, typer.Option("--format", help="Default: text on a terminal, json in a pipe.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random choice.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps, ...")]
Dtype = Annotated[Precision, typer.Option("--dtype", help="Compute type of training and evaluation.")]
SearchDtype = Annotated[
    Precision, typer.Option("--dtype", help="Compute type of the search for triggers; curvature stays float32.")
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Texts per forward pass.")]
MaxLength = Annotated[int, typer.Option("--max-length", min=4, help="Tokens per text; longer ones are cut.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Longer tables; settings, versions and hashes.")]


def common(
    *,
    device: str = "auto",
    dtype: Precision = Precision.auto,
    seed: int = 0,
    batch_size: int = 32,
    max_length: int = 128,
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
    allow_pickle: bool = False,
    allow_nonfinite: bool = False,
    prompt_words: int | None = None,
) -> "Common":
    """Turn the shared options into what the commands take."""
    from purify_cli.data.loading import Columns
    from purify_cli.runtime import Compute
    from purify_cli.session.opening import Common

    return Common(
        compute=Compute.choose(device, dtype.value, seed, batch_size=batch_size, max_length=max_length),
        columns=Columns(text=text_column, pair=pair_column, label=label_column),
        allow_pickle=allow_pickle,
        allow_nonfinite=allow_nonfinite,
        prompt_words=prompt_words,
    )


def assignments(given: list[str] | None) -> dict[str, str]:
    """Split ``--set`` values.

    Raises:
        UsageError: If one is not of the form NAME=VALUE.
    """
    pairs = [text.partition("=") for text in given or []]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise UsageError(f"--set {name}{equals}{value} is not NAME=VALUE", hint="For example --set damping=0.1.")
    return {name: value for name, _, value in pairs}


def label_names(given: str | None) -> tuple[str, ...] | None:
    """Split ``--label-names``.

    Raises:
        UsageError: If it holds too few names, or one that a class cannot have.
    """
    if given is None:
        return None
    from purify_cli.data.class_names import checked_names

    return checked_names(given.split(","))


def known(*, method: str | None = None, attack: str | None = None, indicator: str | None = None) -> None:
    """Refuse unknown names before anything heavy is imported.

    Raises:
        UnknownName: If a name is not in its table.
    """
    from purify_cli.attacks import ATTACKS
    from purify_cli.defences import METHODS
    from purify_cli.indicators import INDICATORS

    for table, name in ((METHODS, method), (ATTACKS, attack), (INDICATORS, indicator)):
        if name is not None:
            table.entry(name)


def parse_ratio(given: str | None) -> float | None:
    """Read ``--ratio``.

    Raises:
        UsageError: If it is no number in [0, 1].
    """
    if given is None:
        return None
    try:
        ratio = float(given)
    except ValueError:
        ratio = float("nan")
    if not 0 <= ratio <= 1:
        raise UsageError(
            f"--ratio {given} is not a share", hint="Give a number from 0 (fine-tuning only) to 1 (reset everything)."
        )
    return ratio


def say_origin(origin: "Origin", listener: "Progress") -> None:
    """Tell where the models come from, and the output goes, where no argument said so.

    The run folder may be about something else by now, and a piped record may name a folder that knows nothing of it.
    """
    if origin.record is not None and origin.suspect is not None and not origin.piped:
        listener.note(f"going on from {origin.run.path}: {origin.suspect.path}")
    if origin.moved is not None:
        listener.note(f"{origin.moved} does not hold the record on standard input: writing to {origin.run.path}")
    say_shadowed(listener, *(facts.path for facts in (origin.suspect, origin.reference) if facts))


def say_shadowed(listener: "Progress", *models: str | None) -> None:
    """Tell where a file or folder is called like an alias: what is there is taken."""
    from purify_cli.checkpoint.aliases import alias_for

    for model in models:
        if model is not None and alias_for(model) and Path(model).exists():
            listener.note(f"{model} is the one in {Path.cwd()}, not the model that this alias stands for")


def leave(level: str, fail_on: FailOn, *, failed: bool = False) -> None:
    """End with the exit status that a verdict calls for: 1 for a finding, 2 where the question stays open.

    Args:
        level: The verdict.
        fail_on: From which verdict on the command ends in 1.
        failed: A finding of another kind (accuracy fell more than allowed) that counts where any does.
    """
    if fail_on is FailOn.never:
        return
    order = ["no-finding", "suspicious", "poisoned"]
    if failed or (level in order and order.index(level) >= order.index(fail_on.value)):
        raise typer.Exit(FOUND)
    if level == "incomplete":
        # Where stdout goes to a file, nothing else tells this 2 from that of a scan that failed.
        typer.echo(f"the verdict is incomplete, which ends in 2 under --fail-on {fail_on.value}", err=True)
        raise typer.Exit(2)
