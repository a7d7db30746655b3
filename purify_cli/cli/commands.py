"""The commands: what each is asked, what does the work, and how it ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Any, Final, final

import typer

from purify_cli.choices import LEVELS, FailOn, Format
from purify_cli.cli import methods
from purify_cli.cli.console import show, show_tables, talk
from purify_cli.cli.derive import derived
from purify_cli.cli.streams import piped_input
from purify_cli.requests.attack import AttackRequest
from purify_cli.requests.bench import BenchRequest
from purify_cli.requests.demo import DemoRequest
from purify_cli.requests.detect import DetectRequest
from purify_cli.requests.evaluate import EvaluateRequest
from purify_cli.requests.finetune import FinetuneRequest
from purify_cli.requests.option import Request
from purify_cli.requests.purify import AUTO, PurifyRequest

__all__ = ["COMMANDS", "FOUND", "Command", "exit_for_verdict"]

FOUND: Final = 64
"""Exit status of a verdict at or above --fail-on, before ``main`` translates it to 1."""

QUIET: Final = (Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")], False)
VERBOSE: Final = (
    Annotated[bool, typer.Option("--verbose", "-v", help="Longer tables; settings, versions and hashes.")],
    False,
)
FAIL_ON: Final = (
    Annotated[
        FailOn, typer.Option("--fail-on", help="End in 1 from this verdict on, and in 2 where it is incomplete.")
    ],
    "never",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command."""

    summary: str
    """One line of the help page."""
    examples: tuple[str, ...]
    """Shown at the end of its help page."""
    request: type[Request] | None = None
    """What it is asked; None of a command that works on nothing."""
    does: str = ""
    """``module:function`` from the request to a record, imported when the command runs."""
    judges: bool = False
    """Whether its record holds a verdict that ``--fail-on`` can act on."""
    names: str | None = None
    """Field that names its models; where it is empty, a record on standard input does."""
    verbose: bool = True
    """Whether there is more to show."""
    tables: bool = False
    """Whether it ends in results of a bench, not in a record."""

    @property
    def function(self) -> Callable[..., None]:
        """What Typer turns into the command."""
        if self.request is None:
            return methods.command
        extras: dict[str, Any] = {"form": (methods.FormatOption, None), "quiet": QUIET}
        extras |= {"verbose": VERBOSE} if self.verbose else {}
        extras |= {"fail_on": FAIL_ON} if self.judges else {}
        return derived(self.request, self._run, extras)

    def _run(
        self,
        values: Mapping[str, Any],
        *,
        form: Format | None,
        quiet: bool,
        verbose: bool = False,
        fail_on: FailOn = "never",
    ) -> None:
        """Ask, work, show and end."""
        if self.request is None:
            return
        asked = self.request(**values)
        _refuse_unknown(values)
        piped = {}
        if self.names is not None:
            piped = {"piped": piped_input(values.get(self.names), values.get("run"), quiet=quiet)}
        module, _, name = self.does.partition(":")
        work = getattr(import_module(module), name)
        done = work(replace(asked, progress=talk(quiet=quiet), **piped))
        if self.tables:
            show_tables(done, form)
            return
        show(done, form, verbose=verbose)
        if self.judges:
            over_budget = getattr(done, "utility", None) is not None and done.utility.within_budget is False
            exit_for_verdict(done.verdict.level, fail_on, failed=over_budget)


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    """Refuse unknown names before anything heavy is imported.

    Raises:
        UnknownName: If a name is not in its table.
    """
    from purify_cli.attacks import ATTACKS
    from purify_cli.defences import METHODS
    from purify_cli.indicators import INDICATORS

    if (indicator := values.get("indicator")) is not None:
        INDICATORS.entry(indicator)
    for method in str(values.get("method", AUTO)).split(","):
        if method != AUTO:
            METHODS.entry(method.strip())
    if (attack := values.get("name")) is not None:
        ATTACKS.entry(attack)


def exit_for_verdict(level: str, fail_on: FailOn, *, failed: bool = False) -> None:
    """End with the exit status that a verdict calls for: 1 for a finding, 2 where the question stays open.

    Args:
        level: The verdict.
        fail_on: From which verdict on the command ends in 1.
        failed: A finding of another kind (accuracy fell more than allowed) that counts where any does.
    """
    if fail_on == "never":
        return
    if failed or (level in LEVELS and LEVELS.index(level) >= LEVELS.index(fail_on)):
        raise typer.Exit(FOUND)
    if level == "incomplete":
        # Where stdout goes to a file, nothing else tells this 2 from that of a scan that failed.
        typer.echo(f"the verdict is incomplete, which ends in 2 under --fail-on {fail_on}", err=True)
        raise typer.Exit(2)


COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "detect": Command(
            summary="Compare a suspect with its reference and show the evidence.",
            examples=(
                "purify detect suspect.safetensors --ref bert-base",
                "purify detect suspect/ --ref bert-base --fail-on suspicious",
            ),
            request=DetectRequest,
            does="purify_cli.commands.detect:detect",
            judges=True,
            names="suspect",
        ),
        "purify": Command(
            summary="Reset the most suspicious dimensions and fine-tune on clean samples.",
            examples=(
                "purify purify --ratio 0.1 --clean-data small.jsonl",
                "purify purify suspect/ --ref bert-base --clean-data small.jsonl --ratio auto",
                "purify detect suspect/ --ref bert-base | purify purify --clean-data small.jsonl",
            ),
            request=PurifyRequest,
            does="purify_cli.commands.purify:purify",
            judges=True,
            names="suspect",
        ),
        "evaluate": Command(
            summary="Measure accuracy and attack success of models side by side.",
            examples=(
                "purify evaluate --data test.jsonl --trigger cf --target 1",
                "purify evaluate suspect/ purified/ --data test.jsonl --trigger cf --target 1",
            ),
            request=EvaluateRequest,
            does="purify_cli.commands.evaluate:evaluate",
            names="models",
        ),
        "finetune": Command(
            summary="Fine-tune a model on labelled data.",
            examples=("purify finetune bert-base --data train.jsonl --epochs 3",),
            request=FinetuneRequest,
            does="purify_cli.commands.finetune:finetune",
        ),
        "attack": Command(
            summary="Make a poisoned suspect to try defences on.",
            examples=(
                "purify attack badword --ref bert-base --data train.jsonl --target 1",
                "purify attack badsent --data train.jsonl --target 1 --data-only",
            ),
            request=AttackRequest,
            does="purify_cli.commands.attack:attack",
        ),
        "bench": Command(
            summary="Put every method against every attack on equal terms.",
            examples=("purify bench --plan headline --data folder", "purify bench --plan headline --report-only"),
            request=BenchRequest,
            does="purify_cli.bench.command:bench",
            verbose=False,
            tables=True,
        ),
        "methods": Command(
            summary="List methods, attacks and indicators with their papers.",
            examples=("purify methods", "purify methods --format json"),
        ),
        "demo": Command(
            summary="Run the whole job on built-in texts.",
            examples=("purify demo",),
            request=DemoRequest,
            does="purify_cli.commands.demo:demo",
            verbose=False,
        ),
    }
)
"""Commands in the order of the help page."""
