"""``purify bench``: measure what is missing of a plan, and report what is there."""

from pathlib import Path

from purify_cli.bench.plan_file import load_plan
from purify_cli.bench.reporting import write_report
from purify_cli.bench.run import measure_plan
from purify_cli.bench.store import Store
from purify_cli.errors import UsageError
from purify_cli.requests.bench import BenchRequest

__all__ = ["bench"]


def bench(request: BenchRequest) -> Store:
    """Measure, write the report, and return the results.

    Raises:
        PurifyError: If plan, data or folders cannot be used.
    """
    named = request.plan or (None if request.report_only else "quick")
    plan = None if named is None else load_plan(named)
    if plan is None and request.results is None:
        raise UsageError("--report-only needs to know whose results", hint="Give --plan, or --results FILE.")
    name = plan.bench.name if plan else Path(request.results or "").stem
    results = Path(request.results or request.folder / "results" / f"{name}.jsonl").absolute()
    if plan is not None and not request.report_only:
        store = measure_plan(request, plan, results)
    elif results.is_file():
        store = Store(results)
    else:
        raise UsageError(f"there is no results file {results}", hint="Leave --report-only out to measure first.")
    where = Path(request.report or request.folder / "report" / name)
    if request.shard == (1, 1):
        write_report(store, where)
        request.progress.note(f"report: {where / 'bench.html'}; results: {results}")
    return store
