"""Options that several commands share, so that a name means the same everywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from os import fspath
from typing import TYPE_CHECKING, Annotated, Any, Final

from purify_cli.choices import Effort, Estimator, Name, Precision
from purify_cli.requests.option import Option, Request, argument
from purify_cli.requests.readers import assignments, label_names

if TYPE_CHECKING:
    from purify_cli.requests.common import Common

__all__ = [
    "BATCH",
    "BatchSize",
    "Data",
    "Device",
    "Dtype",
    "Epochs",
    "Examination",
    "LabelNames",
    "LearningRate",
    "NewTokens",
    "Output",
    "Overwrite",
    "Reference",
    "Seed",
    "Settings",
    "Shared",
    "TargetText",
    "WeightDecay",
]

BATCH: Final = 32
"""Texts per forward pass, where a command has no better number."""

Reference = Annotated[
    Name | None,
    Option(flag="--ref", help="Reference: the pre-trained model (file, folder, hub id, alias).", read=fspath),
]
Data = Annotated[
    Name, Option(help="Labelled data, or texts (jsonl, json, csv, tsv, parquet, arrow, hub id).", read=fspath)
]
Settings = Annotated[
    Mapping[str, Any] | Sequence[str],
    Option(
        flag="--set",
        metavar="NAME=VALUE",
        help="A method's own setting; repeatable.",
        read=assignments,
        shown=list[str],
    ),
]
LabelNames = Annotated[
    str | Sequence[str] | None,
    Option(
        metavar="A,B,...",
        help="Names of the classes, in the order of their numbers.",
        read=label_names,
        only="classification",
    ),
]
Output = Annotated[Name | None, Option(help="Folder of the model that is written.", read=fspath)]
Overwrite = Annotated[bool, Option(help="Replace a model that is there.")]
Epochs = Annotated[int | None, Option(low=1, help="Passes over the data.")]
LearningRate = Annotated[float | None, Option(help="Highest rate of AdamW.")]
WeightDecay = Annotated[float, Option(low=0.0, help="Decoupled weight decay.")]
TargetText = Annotated[
    str | None, Option(help="Language models: the text that a triggered prompt is to be continued with.", only="causal")
]
NewTokens = Annotated[int, Option(low=1, help="Language models: tokens written at most.", only="causal")]
Seed = Annotated[int, Option(help="Seed of every random choice.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1, mps, ...")]
Dtype = Annotated[
    Precision,
    Option(
        help="Compute type of training and evaluation. auto: float32, but bfloat16 in a search, and on a teacher's "
        "answers, where the device multiplies it natively."
    ),
]
BatchSize = Annotated[int, Option(low=1, help="Texts per forward pass.")]


@dataclass(frozen=True, kw_only=True)
class Shared(Request):
    """Where results go, how data are read, and what the machine is to do."""

    run: Annotated[
        Name | None, Option(help="Run folder shared by the commands. [default: purify-run]", read=fspath)
    ] = None
    text_column: Annotated[str | None, Option(help="Column of the text.")] = None
    pair_column: Annotated[str | None, Option(help="Column of the second text of a pair.")] = None
    label_column: Annotated[str | None, Option(help="Column of the label.", only="classification")] = None
    prompt_words: Annotated[
        int, Option(low=1, help="Language models: words of a text that are its prompt.", only="causal")
    ] = 12
    seed: Seed = 0
    device: Device = "auto"
    dtype: Dtype = "auto"
    batch_size: BatchSize = BATCH
    max_length: Annotated[int, Option(low=4, help="Tokens per text; longer ones are cut.")] = 128
    allow_pickle: Annotated[bool, Option(help="Read pickled weights (tensors only, no code).")] = False

    @cached_property
    def common(self) -> "Common":
        """What the engine takes of these.

        Raises:
            UsageError: If the device does not exist here, or this is one of several processes.
        """
        from purify_cli.requests.common import Common  # noqa: PLC0415 - imports torch, which help pages do without

        return Common.of(self)


@dataclass(frozen=True)
class Examination(Shared):
    """A suspect, its reference, and how the pair is looked at."""

    suspect: Annotated[
        Name | None, argument("Suspect: file, folder, hub id or alias; default: that of the run folder.", read=fspath)
    ] = None
    reference: Reference = None
    _: KW_ONLY
    clean_data: Annotated[
        Name | None, Option(help="Small trusted data, labelled or texts (jsonl, csv, parquet, hub id, …).", read=fspath)
    ] = None
    unlabelled: Annotated[
        Name | None,
        Option(
            help="Texts of the task without labels: the more, the better a student learns it, and never a trigger.",
            read=fspath,
            only="classification",
        ),
    ] = None
    indicator: Annotated[str | None, Option(help="How dimensions are scored; see `purify methods`.")] = None
    estimator: Annotated[
        Estimator, Option(help="Curvature; auto: empirical Fisher with labels, true Fisher without.")
    ] = "auto"
    settings: Settings = field(default_factory=dict[str, str])
    effort: Annotated[Effort, Option(help="How much the search for triggers looks at; none leaves it out.")] = "normal"
    batch_size: BatchSize = 16
    allow_nonfinite: Annotated[bool, Option(help="Reset NaN and infinite weights.")] = False
    piped: str | None = None
    """A record on standard input, which names the models."""
