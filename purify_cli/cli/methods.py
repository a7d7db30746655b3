"""``purify methods``."""

import json
import sys
from typing import Any

from purify_cli.cli import options as o

__all__ = ["command"]


def command(form: o.OutputFormat = None) -> None:
    """List methods, attacks and indicators, each with its paper and its page in the documentation."""
    from purify_cli.attacks import ATTACKS
    from purify_cli.defences import METHODS
    from purify_cli.indicators import INDICATORS

    tables: dict[str, Any] = {"method": METHODS, "attack": ATTACKS, "indicator": INDICATORS}
    rows = [
        {
            "kind": kind,
            "name": name,
            "summary": table.entry(name).summary,
            "settings": table.entry(name).settings,
            "source": table.entry(name).source,
            "page": f"docs/methods/{name}.md",
        }
        for kind, table in tables.items()
        for name in table
    ]
    if form is o.Format.json or (form is None and not sys.stdout.isatty()):
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
