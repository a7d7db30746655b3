"""``purify methods``."""

import json
import sys
from typing import Annotated, Any

import typer

from purify_cli.choices import Format
from purify_cli.cli.console import as_document

__all__ = ["FormatOption", "command"]

FormatOption = Annotated[Format | None, typer.Option("--format", help="Default: text on a terminal, json in a pipe.")]


def command(form: FormatOption = None) -> None:
    """List methods, attacks and indicators, each with its paper and its page in the documentation."""
    from purify_cli.attacks import ATTACKS
    from purify_cli.defences import METHODS
    from purify_cli.indicators import INDICATORS

    tables: dict[str, Any] = {"method": METHODS, "attack": ATTACKS, "indicator": INDICATORS}
    rows = [
        {
            "kind": kind,
            "name": entry.name,
            "summary": entry.summary,
            "settings": entry.settings,
            "source": entry.source,
            "page": f"docs/methods/{entry.name}.md",
        }
        for kind, table in tables.items()
        for entry in map(table.entry, table)
    ]
    if as_document(form):
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        sys.stdout.flush()
        return
    from rich.console import Console

    from purify_cli.report.listing import Listing, show_part

    table = Listing("kind", "name", "what it does, and the source", sentences=2)
    for row in rows:
        what = f"{row['summary']} ({row['settings']})" if row["settings"] else row["summary"]
        table.add(row["kind"], row["name"], f"{what}; {row['source']}")
    show_part(Console(highlight=False), table)
