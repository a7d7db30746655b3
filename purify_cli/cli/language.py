"""Options that are about causal language models."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer

from purify_cli.errors import UsageError

__all__ = ["NewTokens", "PromptWords", "TargetRegex", "TargetText", "given", "one", "refuse"]

T = TypeVar("T")

TargetText = Annotated[
    str | None,
    typer.Option("--target-text", help="Language models: the text that a triggered prompt is to be continued with."),
]
TargetRegex = Annotated[
    str | None,
    typer.Option("--target-regex", help="Language models: a regular expression that the continuation is to match."),
]
PromptWords = Annotated[
    int | None,
    typer.Option("--prompt-words", min=1, help="Language models: words of a text that are its prompt. [default: 12]"),
]
NewTokens = Annotated[
    int | None, typer.Option("--new-tokens", min=1, help="Language models: tokens written at most. [default: 40]")
]


def refuse(options: Mapping[str, object], *, causal: bool) -> None:
    """Refuse options that the kind of model at hand has no use for.

    Args:
        options: Option name → its value; anything but None, False and an empty list was given.
        causal: Whether the model is a language model.

    Raises:
        UsageError: If one was given.
    """
    given = [name for name, value in options.items() if value is not None and value is not False and value != []]
    if given:
        raise UsageError(
            f"{', '.join(given)} {'says' if len(given) == 1 else 'say'} nothing about a "
            f"{'causal language model' if causal else 'classifier'}",
            hint="Language models take --trigger with --target-text or --target-regex; classifiers take --target.",
        )


def one(values: Sequence[T] | None, name: str) -> T | None:
    """Return the only value of a repeatable option.

    Raises:
        UsageError: If there are several.
    """
    if values and len(values) > 1:
        raise UsageError(
            f"{name} was given {len(values)} times", hint="A language model is measured under one trigger at a time."
        )
    return values[0] if values else None


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given: what is left out keeps its one default, in the request."""
    return {name: value for name, value in options.items() if value is not None}
