"""From a request to a command line: what a field says of its option becomes a parameter that Typer reads."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field
from enum import Enum, StrEnum
from inspect import Parameter, Signature
from typing import Annotated, Any, Literal, Optional, get_args, get_origin

import typer

from purify_cli.requests.option import Option, Request, options

__all__ = ["derived"]


def derived(request: type[Request], body: Callable[..., None], extras: Mapping[str, Any]) -> Callable[..., None]:
    """Return a function that Typer turns into a command.

    Args:
        request: The request's class; its docstring is the help.
        body: Called with the values of the request's fields as ``values``, and with the extras by name.
        extras: Parameters that are no part of the request: name → (annotation, default).
    """
    fields = {field.name: option for field, _, option in options(request)}

    def command(**given: Any) -> None:
        values = {name: _plain(given[name]) for name in fields}
        values = {name: not value if fields[name].negated else value for name, value in values.items()}
        # A list without a value is what Typer makes of an option that was not given: the field's default stands.
        values = {name: value for name, value in values.items() if value not in ([], None)}
        body(values, **{name: _plain(given[name]) for name in extras})

    parameters = [_parameter(field, kind, option) for field, kind, option in options(request)]
    parameters += [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in extras.items()
    ]
    command.__signature__ = Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess] - Typer reads it
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__doc__ = request.__doc__
    return command


def _parameter(field: Field[Any], kind: Any, option: Option) -> Parameter:
    plain = kind in (bool, int, float, str) or get_origin(kind) is Literal
    shown = kind if plain else _listed(option.shown)
    default = field.default
    if default is MISSING and field.default_factory is MISSING:
        default = Parameter.empty
    elif get_origin(shown) is list or not plain:
        default = default if isinstance(default, str) else None
    elif option.negated:
        default = not default
    annotation = Annotated[Optional[shown] if default is None else shown, _typer(option)]  # noqa: UP045 - made at run time
    return Parameter(field.name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _typer(option: Option) -> Any:
    if option.positional:
        return typer.Argument(help=option.help)
    return typer.Option(option.flag, help=option.help, metavar=option.metavar, min=option.low, max=option.high)


def _listed(shown: Any) -> Any:
    """Return a type that Typer knows: it takes single choices as they are, and several only as an enumeration."""
    inner = get_args(shown)[0] if get_origin(shown) is list else None
    if get_origin(inner) is not Literal:
        return shown
    choices = StrEnum("choices", {value: value for value in get_args(inner)})
    return list[choices]  # pyright: ignore[reportInvalidTypeForm] - made from the field's own choices


def _plain(value: Any) -> Any:
    """Return what was chosen, without Typer's enumerations."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.value if isinstance(value, Enum) else value
