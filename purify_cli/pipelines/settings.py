"""Settings given as text (``--set name=value``), turned into values."""

from collections.abc import Mapping
from typing import Any

from purify_cli.errors import UsageError
from purify_cli.protocols import Indicator, Rework

__all__ = ["parse_settings"]


def parse_settings(
    owner: Indicator | Rework, given: Mapping[str, str], fixed: Mapping[str, Any], *, name: str | None = None
) -> dict[str, Any]:
    """Turn ``--set name=value`` into typed settings over the method's and the indicator's defaults.

    Args:
        owner: Whose settings they are.
        given: As text.
        fixed: What the method sets differently from the indicator's defaults.
        name: Of the owner, for messages; default: an indicator's own.

    Raises:
        UsageError: If a name is unknown or a value does not have its default's type.
    """
    settings = {**owner.defaults, **fixed}
    for setting, text in given.items():
        if setting not in settings:
            known = ", ".join(sorted(settings)) or "it has none"
            called = name or getattr(owner, "name", "it")
            raise UsageError(f"{called} has no setting {setting!r}", hint=f"Its settings: {known}.")
        kind = type(settings[setting])
        try:
            settings[setting] = _switch(text) if kind is bool else kind(text)
        except ValueError as error:
            raise UsageError(
                f"--set {setting}={text} is not a {kind.__name__}", hint="See `purify methods`."
            ) from error
    return owner.check(settings)


def _switch(text: str) -> bool:
    """Read a yes or no; ``bool`` would take every word for a yes."""
    switches = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in switches:
        raise ValueError(text)
    return switches[text.lower()]
