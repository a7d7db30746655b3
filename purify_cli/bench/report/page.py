"""The report of a bench: a Markdown file, the plots, and one HTML page that needs nothing else."""

import json
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

from purify_cli.bench.report.fixed import fixed_pairs, fixed_tables
from purify_cli.bench.report.found import found_table
from purify_cli.bench.report.overview import attack_tables, headline_tables, ratio_tables, suspect_table
from purify_cli.bench.report.plots import plots
from purify_cli.bench.report.tables import (
    Table,
    cost_table,
    detection_tables,
    failure_table,
    paired_tables,
    task_tables,
)
from purify_cli.bench.report.view import View
from purify_cli.errors import printable

__all__ = ["MARKDOWN", "PAGE", "markdown", "report_files"]

MARKDOWN: Final = "bench.md"
PAGE: Final = "bench.html"

STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .5rem 0; font-size: 13px; }
td, th { border: 1px solid #ccc; padding: .2rem .5rem; text-align: left; }
tr:nth-child(even) { background: #f6f6f6; }
th { background: #eee; }
.note { color: #555; font-size: 13px; }
img { max-width: 100%; }
pre { background: #f6f6f6; padding: .5rem; overflow: auto; font-size: 12px; }
"""


def _sections(view: View) -> Iterator[tuple[str, list[Table]]]:
    yield "What was planted", list(suspect_table(view))
    yield "What was found", list(found_table(view))
    yield "Over all attacks", list(headline_tables(view))
    yield "Attack by attack", list(attack_tables(view))
    yield "Task by task", list(task_tables(view))
    yield "At one ratio", [*fixed_tables(view), *fixed_pairs(view)]
    yield "Ratio by ratio", list(ratio_tables(view))
    yield "Method against method", list(paired_tables(view))
    yield "Detection", list(detection_tables(view))
    yield "Failures", list(failure_table(view))
    yield "Time and code", list(cost_table(view))


def markdown(view: View) -> str:
    """Write all tables as one Markdown page."""
    name = printable(view.plan["bench"]["name"])
    lines = [f"# Bench: {name}", "", f"Written by `purify bench` from {_summary(view)}.", ""]
    for title, tables in _sections(view):
        if tables:
            lines += [f"## {title}", "", *(table.markdown() for table in tables)]
    return "\n".join(lines).rstrip() + "\n"


def _summary(view: View) -> str:
    kinds = ("suspect", "curve", "cell", "detection")
    counted = {kind: sum(row["kind"] == kind for row in view.rows.values()) for kind in kinds}
    named = ("suspects", "searches for a ratio", "repairs", "detection figures")
    return ", ".join(f"{number} {name}" for number, name in zip(counted.values(), named, strict=True) if number)


def _html(view: View, pictures: list[tuple[str, str, bytes]]) -> str:
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>Bench: {escape(view.plan['bench']['name'])}</title><style>{STYLE}</style></head><body>",
        f"<h1>Bench: {escape(view.plan['bench']['name'])}</h1>",
        f"<p>Written by <code>purify bench</code> from {escape(_summary(view))}.</p>",
    ]
    sections = list(_sections(view))
    parts += _tables(sections[:3])
    for _, caption, png in pictures:
        data = b64encode(png).decode()
        alt = escape(caption)
        parts.append(
            f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"><figcaption>{alt}</figcaption></figure>'
        )
    parts += _tables(sections[3:])
    plan = escape(json.dumps(view.plan, indent=1))
    parts.append(f"<h2>Plan</h2>\n<pre>{plan}</pre>\n</body></html>\n")
    return "\n".join(parts)


def _tables(sections: list[tuple[str, list[Table]]]) -> Iterator[str]:
    for title, tables in sections:
        if tables:
            yield f"<h2>{escape(title)}</h2>"
            yield from (table.html() for table in tables)


def report_files(view: View) -> dict[Path, bytes]:
    """Make the whole report.

    Returns:
        Path inside the report folder → content. The same results give the same bytes.

    Raises:
        UsageError: If matplotlib is not installed.
    """
    pictures = list(plots(view))
    files = {Path("plots") / f"{name}.png": png for name, _, png in pictures}
    return files | {Path(MARKDOWN): markdown(view).encode(), Path(PAGE): _html(view, pictures).encode()}
