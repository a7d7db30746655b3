"""The program: its commands, and the one place where an exception becomes words."""

import errno
import os
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Annotated, Final

import typer

from purify_cli.cli import attack, bench, demo, detect, evaluate, finetune, methods, purify
from purify_cli.cli.help import GroupedCommand, examples
from purify_cli.cli.options import FOUND
from purify_cli.cli.streams import harden_streams
from purify_cli.errors import FAILED, PurifyError, UsageError, printable

__all__ = ["COMMANDS", "EXAMPLES", "app", "entry", "main"]

INTERRUPTED: Final = 130

app = typer.Typer(
    name="purify",
    help="Find and remove backdoors and injected bias in fine-tuned language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it can be copied and grepped, and Rich would double its time
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "detect": "Compare a suspect with its reference and show the evidence.",
        "purify": "Reset the most suspicious dimensions and fine-tune on clean samples.",
        "evaluate": "Measure accuracy and attack success of models side by side.",
        "finetune": "Fine-tune a model on labelled data.",
        "attack": "Make a poisoned suspect to try defences on.",
        "bench": "Put every method against every attack on equal terms.",
        "methods": "List methods, attacks and indicators with their papers.",
        "demo": "Run the whole job on built-in texts.",
    }
)
"""Commands and their one-line summaries, in the order of the help page."""

_FUNCTIONS = {
    "detect": detect.command,
    "purify": purify.command,
    "evaluate": evaluate.command,
    "finetune": finetune.command,
    "attack": attack.command,
    "bench": bench.command,
    "methods": methods.command,
    "demo": demo.command,
}

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "detect": (
            "purify detect suspect.safetensors --ref bert-base",
            "purify detect suspect/ --ref bert-base --fail-on suspicious",
        ),
        "purify": (
            "purify purify --ratio 0.1 --clean-data small.jsonl",
            "purify purify suspect/ --ref bert-base --clean-data small.jsonl --ratio auto",
            "purify detect suspect/ --ref bert-base | purify purify --clean-data small.jsonl",
        ),
        "evaluate": (
            "purify evaluate --data test.jsonl --trigger cf --target 1",
            "purify evaluate suspect/ purified/ --data test.jsonl --trigger cf --target 1",
        ),
        "finetune": ("purify finetune bert-base --data train.jsonl --epochs 3",),
        "attack": (
            "purify attack badword --ref bert-base --data train.jsonl --target 1",
            "purify attack badsent --data train.jsonl --target 1 --data-only",
        ),
        "bench": ("purify bench --plan headline --data folder", "purify bench --plan headline --report-only"),
        "methods": ("purify methods", "purify methods --format json"),
        "demo": ("purify demo",),
    }
)
"""Shown at the end of each help page."""

for _name, _summary in COMMANDS.items():
    app.command(_name, cls=GroupedCommand, short_help=_summary, epilog=examples(*EXAMPLES[_name]))(_FUNCTIONS[_name])


def _print_version(asked: bool) -> None:
    if asked:
        print(f"purify {version('purify-cli')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find and remove backdoors and injected bias in fine-tuned language models."""


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code.

    0: done. 1: a finding at or above ``--fail-on``. 2: could not complete. 130: interrupted. Typer itself ends in 1 on
    an aborted prompt; since our 1 is a verdict, a verdict travels as a private number until here.
    """
    try:
        if os.name != "posix":
            raise UsageError("purify needs a POSIX system (Linux, macOS)", hint="On Windows use WSL.")
        app(argv)
    except PurifyError as error:
        print(f"error: {printable(str(error))}.\nhint: {printable(error.hint)}", file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else FAILED
        return {0: 0, FOUND: 1, INTERRUPTED: INTERRUPTED}.get(code, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno == errno.ENOSPC:
            print("error: the output could not be written: no space left.\nhint: Free some space.", file=sys.stderr)
        elif error.errno == errno.ENAMETOOLONG:
            print("error: a name is too long for a file.\nhint: Check the paths that were given.", file=sys.stderr)
        else:
            _print_traceback()
        return FAILED
    except MemoryError:
        print("error: out of memory.\nhint: Try a smaller --batch-size or --max-length.", file=sys.stderr)
        return FAILED
    except Exception:  # a bug: the traceback is for whoever mends it, the code for whoever ran it
        _print_traceback()
        return FAILED
    return 0


def _print_traceback() -> None:
    """Print the traceback of what is being handled; its message may hold names from a hostile file."""
    for line in traceback.format_exc().splitlines():
        print(printable(line), file=sys.stderr)


def entry() -> None:
    """Console script."""
    harden_streams()
    sys.exit(main())
