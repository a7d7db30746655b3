"""What lists say of settings is what the code does; lists import no torch, so they say it in words of their own."""

import shlex

import pytest

from purify_cli.attacks import ATTACKS
from purify_cli.defences import METHODS
from purify_cli.indicators import INDICATORS
from purify_cli.protocols import ResetDefence
from purify_cli.training import repair_settings


def stated(settings: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(settings))


TUNING = ("fine-tuning", "nad")
"""Methods that score nothing and reset nothing."""


@pytest.mark.parametrize("name", list(INDICATORS))
def test_indicators(name: str) -> None:
    assert stated(INDICATORS.entry(name).settings) == {k: str(v) for k, v in INDICATORS[name].defaults.items()}


@pytest.mark.parametrize("name", list(ATTACKS))
def test_attacks(name: str) -> None:
    assert stated(ATTACKS.entry(name).settings) == {k: str(v) for k, v in ATTACKS[name].defaults.items()}


@pytest.mark.parametrize("name", [name for name in METHODS if name not in TUNING])
def test_methods(name: str) -> None:
    row = METHODS[name]
    if isinstance(row, ResetDefence):
        expected = {"ratio": str(row.ratio), "indicator": row.indicator, "replacement": row.replacement}
        expected |= {"anchor": str(row.anchor)} if row.anchor else {}
    else:
        own = {setting: str(value) for setting, value in row.defaults.items()}
        expected = own if row.ratio is None else {"ratio": str(row.ratio), **own}
    assert stated(METHODS.entry(name).settings) == expected


@pytest.mark.parametrize("name", TUNING)
def test_what_tunes_alone(name: str) -> None:
    settings = repair_settings()
    names = ("learning_rate", "steps", "weight_decay")
    assert stated(METHODS.entry(name).settings) == {n: str(getattr(settings, n)) for n in names}
