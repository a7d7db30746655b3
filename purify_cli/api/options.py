"""What all functions of the public interface take."""

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, TypedDict

from purify_cli.data.columns import Columns
from purify_cli.records.base import Record
from purify_cli.runtime import Compute
from purify_cli.session.opening import Common
from purify_cli.session.origin import Origin, find_origin

__all__ = ["RUN", "Effort", "Name", "Options", "common", "origin", "settings_text", "text"]

RUN = "purify-run"

Name = str | PathLike[str]
"""A file, a folder, a hub id or an alias."""

Effort = Literal["none", "low", "normal", "high"]
"""How much the search for triggers looks at."""


class Options(TypedDict, total=False):
    """Keyword arguments of every function; the defaults are those of the command line."""

    device: str
    dtype: Literal["auto", "float32", "bfloat16"]
    seed: int
    batch_size: int
    max_length: int
    prompt_words: int
    text_column: str
    pair_column: str
    label_column: str
    allow_pickle: bool
    allow_nonfinite: bool


def text(name: Name | None) -> str | None:
    """Return a name as the commands take it."""
    return None if name is None else fspath(name)


def settings_text(given: Mapping[str, Any] | None) -> dict[str, str]:
    """Return settings as the commands take them, who check them."""
    return {name: str(value) for name, value in (given or {}).items()}


def origin(model: Name | None, reference: Name | None, run: Name, kinds: tuple[type[Record], ...]) -> Origin:
    """Find the models: those named, else those of the run folder."""
    return find_origin(text(model), text(reference), Path(run), None, kinds=kinds)


def common(options: Options, *, batch_size: int = 32) -> Common:
    """Turn keyword arguments into what the commands take."""
    return Common(
        compute=Compute.choose(
            options.get("device", "auto"),
            options.get("dtype", "auto"),
            options.get("seed", 0),
            batch_size=options.get("batch_size", batch_size),
            max_length=options.get("max_length", 128),
        ),
        columns=Columns(
            text=options.get("text_column"), pair=options.get("pair_column"), label=options.get("label_column")
        ),
        allow_pickle=options.get("allow_pickle", False),
        allow_nonfinite=options.get("allow_nonfinite", False),
        prompt_words=options.get("prompt_words"),
    )
