"""From what a user writes to the value of an option. A value that is one already is left as it is."""

from collections.abc import Mapping, Sequence
from os import fspath
from typing import Any, Literal

from purify_cli.errors import UsageError

__all__ = ["assignments", "label_names", "many", "ratio", "shard"]


def many(given: Any) -> tuple[str, ...]:
    """Return the values of an option that may be given several times."""
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    return tuple(fspath(one) if hasattr(one, "__fspath__") else str(one) for one in several)


def assignments(given: Mapping[str, Any] | Sequence[str]) -> dict[str, str]:
    """Split ``--set`` values.

    Raises:
        UsageError: If one is not of the form NAME=VALUE.
    """
    if isinstance(given, Mapping):
        return {name: str(value) for name, value in given.items()}
    pairs = [text.partition("=") for text in given]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise UsageError(f"--set {name}{equals}{value} is not NAME=VALUE", hint="For example --set damping=0.1.")
    return {name: value for name, _, value in pairs}


def label_names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Split ``--label-names``.

    Raises:
        UsageError: If it holds too few names, or one that a class cannot have.
    """
    from purify_cli.data.class_names import checked_names  # noqa: PLC0415 - heavy, and seldom needed

    return checked_names(given.split(",") if isinstance(given, str) else given)


def ratio(given: str | float) -> float | Literal["auto"]:
    """Read ``--ratio``.

    Raises:
        UsageError: If it is neither ``auto`` nor a number in [0, 1].
    """
    if given == "auto":
        return "auto"
    try:
        share = float(given)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0 <= share <= 1:
        raise UsageError(
            f"--ratio {given} is not a share", hint="Give a number from 0 (fine-tuning only) to 1 (reset everything)."
        )
    return share


def shard(given: str | tuple[int, int]) -> tuple[int, int]:
    """Read ``--shard``.

    Raises:
        UsageError: If it is not K/N with K from 1 to N.
    """
    number, _, parts = given.partition("/") if isinstance(given, str) else ("/".join(map(str, given))).partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise UsageError(f"--shard {given} is not K/N", hint="For example --shard 1/2 and --shard 2/2, side by side.")
    return int(number), int(parts)
