"""How a verdict ends a command."""

from pathlib import Path
from typing import get_args

import pytest
import typer

from purify_cli.choices import FailOn
from purify_cli.cli.commands import FOUND, exit_for_verdict

EXITS = {
    "no-finding": (0, 0, 0),
    "incomplete": (0, 2, 2),
    "suspicious": (0, FOUND, 0),
    "poisoned": (0, FOUND, FOUND),
}


def ended(level: str, fail_on: FailOn, *, failed: bool = False) -> int:
    try:
        exit_for_verdict(level, fail_on, failed=failed)
    except typer.Exit as stop:
        return stop.exit_code
    return 0


@pytest.mark.parametrize("level", EXITS)
def test_every_level_under_every_gate(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(ended(level, fail_on) for fail_on in get_args(FailOn)) == EXITS[level]
    assert capsys.readouterr().err.count("ends in 2 under --fail-on") == EXITS[level].count(2)
    # Another finding, such as lost accuracy, counts where any does, and before what is not known.
    assert [ended(level, fail_on, failed=True) for fail_on in get_args(FailOn)] == [0, FOUND, FOUND]


def test_the_help_names_every_shipped_plan(run_cli) -> None:
    plans = Path(__file__).parent.parent.parent / "purify_cli" / "plans"
    code, out, _ = run_cli(["bench", "--help"])
    assert code == 0
    assert all(plan.stem in out for plan in plans.glob("*.toml"))
