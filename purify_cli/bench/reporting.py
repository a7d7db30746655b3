"""The report of a results file: what counts in it, and the files made from that alone."""

import json
from pathlib import Path

from pydantic import ValidationError

from purify_cli.bench.grid import expected_marks
from purify_cli.bench.plan import BenchPlan
from purify_cli.bench.report.page import markdown, report_files
from purify_cli.bench.report.view import PLAN_KEY, View
from purify_cli.bench.store import Store
from purify_cli.checkpoint import write_bytes
from purify_cli.errors import RunFolderError

__all__ = ["as_json", "as_text", "view_of", "write_report"]


def view_of(store: Store) -> View:
    """Return the rows of a results file that were measured under the settings of the plan in it.

    Raises:
        RunFolderError: If it holds no plan, or one that this version cannot read.
    """
    row = store.rows.get(PLAN_KEY)
    if row is None:
        raise RunFolderError(f"{store.path} holds no results", hint="Run `purify bench` without --report-only first.")
    try:
        plan = BenchPlan.model_validate(row["result"])
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        raise RunFolderError(f"the plan in {store.path} cannot be read ({reason})", hint="Measure anew.") from error
    return View(store.rows, expected_marks(plan, store.rows))


def write_report(store: Store, folder: Path) -> None:
    """Write tables, plots and the page.

    Raises:
        RunFolderError: If there are no results.
        StorageError: If the folder cannot be written to.
        UsageError: If matplotlib is not installed.
    """
    for name, content in report_files(view_of(store)).items():
        write_bytes(folder / name, content)


def as_text(store: Store) -> str:
    """Return all tables, for a person."""
    return markdown(view_of(store))


def as_json(store: Store) -> str:
    """Return the plan and the rows that count as one JSON document."""
    view = view_of(store)
    return json.dumps({"plan": view.plan, "rows": list(view.rows.values())}, indent=2, ensure_ascii=True) + "\n"
