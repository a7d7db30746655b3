"""Settings given as text (``--set name=value``), turned into values."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from purify_cli.errors import UsageError
from purify_cli.protocols import Indicator, WeightDefence

__all__ = ["parse_settings", "typed"]


def parse_settings(
    owner: Indicator | WeightDefence, given: Mapping[str, str], fixed: Mapping[str, Any]
) -> dict[str, Any]:
    """Turn ``--set name=value`` into typed settings over the method's and the indicator's defaults.

    Args:
        owner: Whose settings they are.
        given: As text.
        fixed: What the method sets differently from the indicator's defaults.

    Raises:
        UsageError: If a name is unknown or a value does not have its default's type.
    """
    settings = {**owner.defaults, **fixed}
    for setting, text in given.items():
        if setting not in settings:
            known = ", ".join(sorted(settings)) or "it has none"
            raise UsageError(f"{owner.name} has no setting {setting!r}", hint=f"Its settings: {known}.")
        settings[setting] = typed(setting, text, type(settings[setting]))
    return owner.check(settings)


def typed(name: str, text: str, kind: type) -> Any:
    """Turn the text of a setting into a value of its default's type.

    Raises:
        UsageError: If it is none, or no finite number.
    """
    try:
        value = _SWITCHES[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError) as error:
        raise UsageError(f"--set {name}={text} is not a {kind.__name__}", hint="See `purify methods`.") from error
    if isinstance(value, float) and not isfinite(value):
        raise UsageError(f"--set {name}={text} is not a finite number", hint="See `purify methods`.")
    return value


_SWITCHES: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""``bool`` would take every word for a yes."""
