"""Write the generated parts of the documentation, or check that they are fresh.

Usage: ``python docs/generate.py [--check]``. Writes ``docs/reference/cli.md`` from the commands' own ``--help``, and
one JSON Schema per record into ``docs/reference/schemas/``, and what the signs of unpoisoned models come to into
``purify_cli/evidence/clean.json``. In the pages of ``PAGES`` the lines between
``<!-- bench PLAN TABLES -->`` and ``<!-- end -->`` become tables of ``docs/results/PLAN.jsonl``, those after
``<!-- census KIND -->`` tables of ``docs/results/census.jsonl`` and ``signs.jsonl``. With ``--check``
nothing is written; the stale files are named and the exit code is 1.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Typer and Rich read these when they are imported: the same text on every terminal, in every CI.
os.environ.update({"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"})
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
    os.environ.pop(name, None)

import census_tables
from typer.testing import CliRunner

from purify_cli.bench.report import overview as bench_overview
from purify_cli.bench.report import tables as bench_tables
from purify_cli.bench.report.fixed import fixed_pairs, fixed_tables
from purify_cli.bench.report.found import found_table
from purify_cli.bench.report.tables import Table
from purify_cli.bench.report.view import View
from purify_cli.bench.reporting import view_of
from purify_cli.bench.store import Store
from purify_cli.cli.app import app
from purify_cli.cli.commands import COMMANDS
from purify_cli.records.kinds import RECORDS

__all__ = ["main", "pages"]

DOCS = Path(__file__).resolve().parent
NOTICE = "<!-- Written by `make docs` from the program's own help; edits are overwritten. -->"


def help_text(*arguments: str) -> str:
    """Return what ``purify … --help`` prints.

    Raises:
        RuntimeError: If it prints anything else than help.
    """
    result = CliRunner().invoke(app, [*arguments, "--help"], prog_name="purify")
    if result.exit_code != 0:
        raise RuntimeError(f"purify {' '.join(arguments)} --help ended in {result.exit_code}: {result.output}")
    return "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines())


def command_page() -> str:
    """Return the command reference as Markdown."""
    parts = ["# Commands", NOTICE, f"```text\n{help_text()}\n```"]
    for name, command in COMMANDS.items():
        parts += [f"## purify {name}", command.summary, f"```text\n{help_text(name)}\n```"]
    return "\n\n".join(parts) + "\n"


PAGES = (
    DOCS.parent / "README.md",
    DOCS / "detection.md",
    DOCS / "methods" / "attribution.md",
    DOCS / "reproduction.md",
)
"""Pages with tables of the bench in them."""

TABLES: dict[str, Callable[[View], Iterator[Table]]] = {
    "attacks": bench_overview.attack_tables,
    "widest": lambda view: iter(list(bench_overview.attack_tables(view))[-1:]),
    "cost": bench_tables.cost_table,
    "detection": bench_tables.detection_tables,
    "fixed": fixed_tables,
    "found": found_table,
    "gaps": fixed_pairs,
    "failures": bench_tables.failure_table,
    "headline": bench_overview.headline_tables,
    "paired": bench_tables.paired_tables,
    "ratios": bench_overview.ratio_tables,
    "suspects": bench_overview.suspect_table,
}


def bench_block(match: re.Match[str]) -> str:
    """Return a block with its tables as they follow from the results."""
    plan, kinds = match[1], match[2].split()
    view = view_of(Store(DOCS / "results" / f"{plan}.jsonl"))
    tables = [table.markdown().strip() for kind in kinds for table in TABLES[kind](view)]
    return "\n\n".join([f"<!-- bench {plan} {' '.join(kinds)} -->", *tables, "<!-- end -->"])


def with_tables(text: str) -> str:
    """Return a page with the tables of the bench in their places."""
    text = re.sub(r"<!-- census (summary|models|repairs|signs) -->.*?<!-- end -->", census_block, text, flags=re.DOTALL)
    return re.sub(r"<!-- bench (\S+) ([a-z ]+?) -->.*?<!-- end -->", bench_block, text, flags=re.DOTALL)


def census_block(match: re.Match[str]) -> str:
    """Return a block with the tables of the census."""
    kinds = {"summary": census_tables.summary_tables, "models": census_tables.model_table}
    if match[1] == "signs":
        made = census_tables.sign_table(census_tables.signs())
    elif match[1] == "repairs":
        made = census_tables.repair_tables(census_tables.repairs())
    else:
        made = kinds[match[1]](census_tables.read())
    tables = [table.markdown().strip() for table in made]
    return "\n\n".join([f"<!-- census {match[1]} -->", *tables, "<!-- end -->"])


def in_one_line(schema: Any) -> Any:
    """Join the lines of descriptions: what stands below a field is broken into several."""
    if isinstance(schema, dict):
        return {
            key: " ".join(value.split()) if key == "description" and isinstance(value, str) else in_one_line(value)
            for key, value in schema.items()
        }
    return [in_one_line(value) for value in schema] if isinstance(schema, list) else schema


def pages() -> dict[Path, str]:
    """Return every generated file and what it should hold."""
    found = {DOCS / "reference" / "cli.md": command_page()}
    found |= {page: with_tables(page.read_text(encoding="utf-8")) for page in PAGES}
    clean = census_tables.clean_signs(census_tables.signs())
    found[DOCS.parent / "purify_cli" / "evidence" / "clean.json"] = json.dumps(clean, indent=2) + "\n"
    missed = census_tables.misses(census_tables.read())
    found[DOCS.parent / "purify_cli" / "evidence" / "misses.json"] = json.dumps(missed, indent=2) + "\n"
    for kind, record in RECORDS.items():
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        schema |= in_one_line(record.model_json_schema(mode="serialization"))
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        found[DOCS / "reference" / "schemas" / f"{kind}.json"] = text
    return found


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python docs/generate.py [--check]\n")
        return 2
    wanted = pages()
    stale = [p for p, text in wanted.items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    stale += sorted(set((DOCS / "reference" / "schemas").glob("*.json")) - set(wanted))
    for path in stale:
        shown = path.relative_to(DOCS.parent)
        if arguments:
            sys.stderr.write(f"{shown} is stale; run `make docs`\n")
        elif path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
            sys.stderr.write(f"wrote {shown}\n")
        else:
            path.unlink()
            sys.stderr.write(f"removed {shown}\n")
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
