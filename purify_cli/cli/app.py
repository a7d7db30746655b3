"""The program: its commands, and the one place where an exception becomes words."""

import errno
import os
import sys
import traceback
from importlib.metadata import version
from typing import Annotated, Final

import typer

from purify_cli.cli.commands import COMMANDS, FOUND
from purify_cli.cli.help import GroupedCommand, examples
from purify_cli.cli.streams import harden_streams
from purify_cli.errors import FAILED, PurifyError, UsageError, printable

__all__ = ["app", "entry", "main"]

INTERRUPTED: Final = 130

app = typer.Typer(
    name="purify",
    help="Find and remove backdoors and injected bias in fine-tuned language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it can be copied and grepped, and Rich would double its time
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _name, _command in COMMANDS.items():
    app.command(_name, cls=GroupedCommand, short_help=_command.summary, epilog=examples(*_command.examples))(
        _command.function
    )


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
