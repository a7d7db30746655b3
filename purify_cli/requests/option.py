"""How a field of a request says what it is on the command line.

A request is a frozen dataclass. A field that a user may set is annotated with an ``Option``: its help, its range, how
text becomes its value, and which kind of model it speaks of. The command line and the Python function are derived from
these fields, so that an option is written down once.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from math import inf
from typing import Any, Final, Literal, final, get_args, get_origin, get_type_hints

from purify_cli.errors import UsageError
from purify_cli.progress import SILENT, Progress

__all__ = ["Kind", "Option", "Request", "argument", "options", "refuse_foreign"]

Kind = Literal["classification", "causal"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a field is on the command line."""

    help: str
    flag: str = ""
    """``--name``, where it is not that of the field; a positional argument has none."""
    positional: bool = False
    metavar: str | None = None
    low: float | None = None
    """Smallest value."""
    high: float | None = None
    """Largest value."""
    read: Callable[[Any], Any] | None = None
    """Turns what a user gives into the value; leaves a value as it is."""
    shown: Any = str
    """Type on the command line, where the field's own is more than a word, a number or a choice."""
    negated: bool = False
    """Whether the flag switches the field off."""
    only: Kind | None = None
    """The kind of model that it speaks of; None: of any."""


def argument(text: str, *, shown: Any = str, read: Callable[[Any], Any] | None = None) -> Option:
    """Describe a positional argument by its help text."""
    return Option(help=text, positional=True, shown=shown, read=read)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command is asked to do: values from a command line or from Python, read and checked alike."""

    progress: Progress = SILENT
    """Told of the stages."""

    def __post_init__(self) -> None:
        """Read every value, and check its type, its choices and its range.

        Raises:
            UsageError: If one cannot be used.
        """
        for field, kind, option in options(type(self)):
            name, value = option.flag or field.name, getattr(self, field.name)
            if value is None:
                value = _default(field)
                if value is MISSING or (value is not None and option.read is None):
                    raise UsageError(f"{name} needs a value", hint="Leave it out for its default.")
            if value is not None:
                object.__setattr__(self, field.name, _read(name, value, kind, option))


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _read(name: str, value: Any, kind: Any, option: Option) -> Any:
    """Read a value, and check its type, its choices and its range."""
    try:
        value = value if option.read is None else option.read(value)
    except (TypeError, AttributeError) as error:
        raise UsageError(f"{name} cannot be {value!r}", hint=option.help) from error
    if kind in (bool, int, float, str) and not _is(value, kind):
        raise UsageError(f"{name} {value!r} is no {kind.__name__}", hint=option.help)
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    inner = get_args(option.shown)
    if inner and get_origin(inner[0]) is Literal:
        choices = get_args(inner[0])
    for one in value if isinstance(value, tuple) else [value]:
        if choices and one not in choices:
            raise UsageError(f"{name} {one} is not known", hint=f"Use {', '.join(choices[:-1])} or {choices[-1]}.")
    low = -inf if option.low is None else option.low
    high = inf if option.high is None else option.high
    if isinstance(value, (int, float)) and not low <= value <= high:  # NaN is on no side of a limit
        limits = [f"{low:g} or more"] if low > -inf else []
        limits += [f"at most {high:g}"] if high < inf else []
        raise UsageError(f"{name} {value} is out of range", hint=f"Give {', '.join(limits) or 'a number'}.")
    return value


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def options(request: type[Request]) -> Iterator[tuple[Field[Any], Any, Option]]:
    """Yield every field that a user may set, its type (less None) and its option with its flag; a class's own first."""
    hints = get_type_hints(request, include_extras=True)
    own = set(inspect.get_annotations(request))
    for field in sorted(fields(request), key=lambda field: field.name not in own):
        kind, *extras = get_args(hints[field.name]) or (None,)
        option = next((one for one in extras if isinstance(one, Option)), None)
        if option is not None:
            if not option.flag and not option.positional:
                option = replace(option, flag=f"--{field.name.replace('_', '-')}")
            rest = [one for one in get_args(kind) if one is not type(None)]
            yield field, rest[0] if len(rest) == 1 else kind, option


SAYS: Final[Mapping[Kind, str]] = {"classification": "classifier", "causal": "causal language model"}


def refuse_foreign(request: Request, kind: Kind) -> None:
    """Refuse options that the kind of model at hand has no use for, where they say something else than their default.

    Raises:
        UsageError: If one was given.
    """
    foreign = [
        option.flag
        for field, _, option in options(type(request))
        if option.only not in (None, kind) and getattr(request, field.name) != _default(field)
    ]
    if foreign:
        raise UsageError(
            f"{', '.join(foreign)} {'says' if len(foreign) == 1 else 'say'} nothing about a {SAYS[kind]}",
            hint="Language models take --trigger with --target-text or --target-regex; classifiers take --target."
            if hasattr(request, "target_text")
            else f"Leave {'it' if len(foreign) == 1 else 'them'} out.",
        )
