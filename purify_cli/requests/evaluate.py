"""``purify evaluate``."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from os import fspath
from typing import Annotated, final

from purify_cli.choices import Name, Position
from purify_cli.requests.option import Option, argument
from purify_cli.requests.readers import many
from purify_cli.requests.shared import BatchSize, Data, NewTokens, Reference, Shared, TargetText

__all__ = ["EvaluateRequest"]


@final
@dataclass(frozen=True)
class EvaluateRequest(Shared):
    """Measure accuracy, and attack success where a trigger is known, of models side by side on the same rows.

    Attack success counts rows whose true label is not the target: the share that the trigger turns into the target.
    Without --trigger the one in the run folder's attack.json is used, if there is one. Further models are compared
    with the first. A causal language model is measured by what it writes (--target-text or --target-regex) and by its
    perplexity.
    """

    models: Annotated[
        Name | Sequence[Name], argument("Models; default: those of the run folder.", shown=list[str], read=many)
    ] = ()
    _: KW_ONLY
    reference: Reference = None
    data: Data
    trigger: Annotated[
        str | Sequence[str],
        Option(help="Trigger text; repeatable. a|b is one of several, by row.", read=many, shown=list[str]),
    ] = ()
    position: Annotated[
        Position | Sequence[Position],
        Option(help="Where it goes: once for all, or once per --trigger.", read=many, shown=list[Position]),
    ] = ()
    target: Annotated[
        str | int | Sequence[str | int],
        Option(
            help="Target label: once for all, or once per --trigger, then per --triggered.",
            read=many,
            shown=list[str],
            only="classification",
        ),
    ] = ()
    target_text: TargetText = None
    target_regex: Annotated[
        str | None,
        Option(help="Language models: a regular expression that the continuation is to match.", only="causal"),
    ] = None
    triggered: Annotated[
        Name | Sequence[Name],
        Option(
            help="Rows that carry a trigger already, with true labels; repeatable.",
            read=many,
            shown=list[str],
            only="classification",
        ),
    ] = ()
    bias: Annotated[
        bool, Option(help="Also measure accuracy on rows of every label that carry it (BACC).", only="classification")
    ] = False
    floor: Annotated[
        Name | None, Option(help="Model that was never poisoned, measured on the same inputs.", read=fspath)
    ] = None
    consistency: Annotated[
        bool, Option(help="Compare answers row by row with the first model's.", only="classification")
    ] = False
    against: Annotated[
        Name | None, Option(help="Compare answers row by row with this model's.", read=fspath, only="classification")
    ] = None
    seeds: Annotated[int, Option(help="Repeat random positions under so many seeds.", only="classification")] = 1
    retune: Annotated[
        int | None,
        Option(
            help="Fine-tune again on so many poisoned and as many clean rows; watch success.", only="classification"
        ),
    ] = None
    retune_data: Annotated[
        Name | None,
        Option(help="Rows for it; default: part of --data, then not measured.", read=fspath, only="classification"),
    ] = None
    retune_steps: Annotated[int | None, Option(help="Steps of it. [default: 60]", only="classification")] = None
    retune_rate: Annotated[
        float | None,
        Option(help="Learning rate of it. [default: 5e-5]", only="classification"),
    ] = None
    new_tokens: NewTokens = 40
    batch_size: BatchSize = 64
    piped: str | None = None
    """A record on standard input, which names the models."""
