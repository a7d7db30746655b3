"""``purify bench``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from purify_cli.cli import options as o
from purify_cli.cli.console import talk
from purify_cli.errors import UsageError

__all__ = ["command"]


def command(
    *,
    plan: Annotated[
        str | None,
        typer.Option(
            "--plan",
            help="A shipped plan (quick, sst2, sst2-more, paper, ablation, headline, removal) or a TOML file. "
            "[default: quick]",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder that the plan's files lie in.")] = None,
    work: Annotated[
        Path | None, typer.Option("--work", help="Folder of suspects and of what is under way. [default: purify-bench]")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="JSON Lines file. [default: results/PLAN.jsonl in --work]")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Folder for tables, plots and page. [default: report/PLAN in --work]"),
    ] = None,
    report_only: Annotated[bool, typer.Option("--report-only", help="Measure nothing; report what is there.")] = False,
    only: Annotated[
        str | None, typer.Option("--only", metavar="KIND=NAME,...", help="Kinds: task, attack, method, seed, size.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="K/N", help="The K-th of N parts, for several processes.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Measure again what failed.")] = False,
    form: o.OutputFormat = None,
    device: o.Device = "auto",
    quiet: o.Quiet = False,
) -> None:
    """Put every method of a plan against every attack on equal terms.

    What is in the results file is not measured again, so that a run which was ended, by whatever, goes on where it was.
    Prints the report's tables, or with --format json the rows that count.
    """
    from purify_cli.bench.plan_file import load_plan

    chosen = load_plan(plan or "quick") if plan is not None or not report_only else None
    part = _shard(shard)
    if report_only and chosen is None and results is None:
        raise UsageError("--report-only needs to know whose results", hint="Give --plan, or --results FILE.")
    folder = (work or Path("purify-bench")).absolute()
    name = chosen.bench.name if chosen else (results or Path()).stem
    rows = (results or folder / "results" / f"{name}.jsonl").absolute()
    listener = talk(quiet=quiet)
    if chosen is None or report_only:
        from purify_cli.bench.store import Store

        if not rows.is_file():
            raise UsageError(f"there is no results file {rows}", hint="Leave --report-only out to measure first.")
        store = Store(rows)
    else:
        from purify_cli.bench.grid import Only
        from purify_cli.bench.run import BenchRequest, bench
        from purify_cli.runtime import Compute

        request = BenchRequest(
            plan=chosen,
            work=folder,
            results=rows,
            data=data.absolute() if data else None,
            only=Only.parse(only, chosen),
            shard=part,
            retry=retry,
            compute=Compute.choose(device),
        )
        store = bench(request, listener)
    from purify_cli.bench.reporting import as_json, as_text, write_report

    where = report or folder / "report" / name
    if part == (1, 1):
        write_report(store, where)
        listener.note(f"report: {where / 'bench.html'}; results: {rows}")
    as_document = form is o.Format.json or (form is None and not sys.stdout.isatty())
    sys.stdout.write(as_json(store) if as_document else as_text(store))
    sys.stdout.flush()


def _shard(given: str | None) -> tuple[int, int]:
    number, _, parts = (given or "1/1").partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise UsageError(f"--shard {given} is not K/N", hint="For example --shard 1/2 and --shard 2/2, side by side.")
    return int(number), int(parts)
