"""Help pages: options in groups, and examples at the end."""

from typing import Any, Final

from typer.core import TyperCommand

__all__ = ["GroupedCommand", "examples"]

GROUPS: Final = {
    "Input": "--ref --clean-data --data --run --text-column --pair-column --label-column --label-names --allow-pickle "
    "--allow-nonfinite --unlabelled --model --test --triggered --plan --with --floor --against",
    "Method": "",
    "Output": "--output --overwrite --format --fail-on --quiet --verbose --data-only --report --report-only --work "
    "--results --help",
    "Machine": "--seed --device --dtype --batch-size --max-length",
}
"""Options of each group, in the order of the help page; every other option belongs to the method."""


class GroupedCommand(TyperCommand):
    """A command whose options are listed in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options; those of the method are whatever no group names."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", *GROUPS)}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                names = set(param.opts)
                group = next((group for group, flags in GROUPS.items() if names & set(flags.split())), "Method")
                sections["Arguments" if param.param_type_name == "argument" else group].append(record)
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def examples(*lines: str) -> str:
    """Return the end of a help page: every example on a line of its own, as it is typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
