"""``purify bench``."""

from dataclasses import dataclass
from os import fspath
from pathlib import Path
from typing import Annotated, final

from purify_cli.choices import Name
from purify_cli.requests.option import Option, Request
from purify_cli.requests.readers import shard as read_shard
from purify_cli.requests.shared import Device

__all__ = ["BenchRequest"]


@final
@dataclass(frozen=True, kw_only=True)
class BenchRequest(Request):
    """Put every method of a plan against every attack on equal terms.

    What is in the results file is not measured again, so that a run which was ended, by whatever, goes on where it was.
    Prints the report's tables, or with --format json the rows that count.
    """

    plan: Annotated[
        str | None,
        Option(
            help="A shipped plan (quick, sst2, sst2-more, paper, ablation, headline, removal) or a TOML file. "
            "[default: quick]"
        ),
    ] = None
    data: Annotated[Name | None, Option(help="Folder that the plan's files lie in.", read=fspath)] = None
    work: Annotated[Name, Option(help="Folder of suspects and of what is under way.", read=fspath)] = "purify-bench"
    results: Annotated[
        Name | None, Option(help="JSON Lines file. [default: results/PLAN.jsonl in --work]", read=fspath)
    ] = None
    report: Annotated[
        Name | None, Option(help="Folder for tables, plots and page. [default: report/PLAN in --work]", read=fspath)
    ] = None
    report_only: Annotated[bool, Option(help="Measure nothing; report what is there.")] = False
    only: Annotated[str | None, Option(metavar="KIND=NAME,...", help="Kinds: task, attack, method, seed, size.")] = None
    shard: Annotated[
        str | tuple[int, int],
        Option(metavar="K/N", help="The K-th of N parts, for several processes.", read=read_shard),
    ] = (1, 1)
    retry: Annotated[bool, Option(help="Measure again what failed.")] = False
    device: Device = "auto"

    @property
    def folder(self) -> Path:
        """The work folder."""
        return Path(self.work).absolute()
