"""The loop of ``purify bench``: what is missing is measured, row by row; what is there is left alone.

Each row is on the disk before the next is begun. Whatever ends the process, the next one goes on with the row that was
being measured; a training of a suspect goes on from its last state. Processes that share work folder and results
(``--shard``, or simply two of the same) keep out of each other's way: a suspect is locked while it is worked on.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, final

from purify_cli.bench.case import BenchCase
from purify_cli.bench.eta import foreseen, told
from purify_cli.bench.grid import (
    Only,
    ResultSpec,
    Suspect,
    cells_of,
    methods_of,
    parse_only,
    sizes_of,
    specs_of,
    suspects_of,
    wants_search,
)
from purify_cli.bench.measuring import question_of, suspect_result
from purify_cli.bench.plan import BenchPlan, MethodPlan
from purify_cli.bench.provenance import provenance
from purify_cli.bench.report.view import Result
from purify_cli.bench.rows import TaskRows, check_files, read_task
from purify_cli.bench.store import Row, Store, claim, exclusive
from purify_cli.bench.zoo import SuspectZoo
from purify_cli.checkpoint import open_checkpoint
from purify_cli.errors import DataError, NonFiniteWeights, TrainingDiverged, UsageError
from purify_cli.evaluation import Question
from purify_cli.inputs.identity import ModelFacts
from purify_cli.inputs.opening import open_pair
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.inputs.task import open_task
from purify_cli.progress import SILENT
from purify_cli.purification.repair_session import RepairSession
from purify_cli.records.attack import AttackRecord
from purify_cli.requests.bench import BenchRequest
from purify_cli.requests.common import Common
from purify_cli.requests.readers import shard as read_shard
from purify_cli.runtime import DTYPES, Compute

__all__ = ["measure_plan"]

REPAIR_BATCH = 16
"""Rows per forward pass of curvature and repair: the step size of ``repair_settings``."""

SPOILT = (TrainingDiverged, NonFiniteWeights, DataError)
"""What spoils one row or one suspect and lets the rest go on; anything else stops the bench."""


def measure_plan(request: BenchRequest, plan: BenchPlan, results: Path) -> Store:
    """Measure what the results file lacks of a plan.

    Args:
        request: Which part of it, from which data, in which folder.
        plan: The plan.
        results: The results file.

    Raises:
        PurifyError: If the plan, its data or its folders cannot be used. A training that diverges is a result.
    """
    (number, parts), progress, only = read_shard(request.shard), request.progress, parse_only(request.only, plan)
    suspects = list(suspects_of(plan, only))
    if not suspects:
        raise UsageError("nothing of the plan is left to measure", hint="Look at --only, and at seeds and tasks.")
    Compute.choose(request.device)  # refused before anything is written
    data = None if request.data is None else Path(request.data).absolute()
    check_files(suspects, data)
    store = Store(results)
    claim(store, plan)
    mine = suspects[number - 1 :: parts]
    loop = _Loop(request, plan, only, data, store)
    total = len(loop.missing(mine))
    progress.note(f"{plan.bench.name}: {len(mine)} suspects, about {total} rows to measure")
    for row in progress.track(loop.work(mine), "rows", total=total):
        progress.note(told(row, loop.missing(mine), store.rows))
    return store


@final
class _Loop:
    """One process at work on its part of a plan."""

    def __init__(self, request: BenchRequest, plan: BenchPlan, only: Only, data: Path | None, store: Store) -> None:
        self.request, self.plan, self.only, self.data, self.store = request, plan, only, data, store
        self.reference = open_checkpoint(self.plan.bench.reference)
        self.compute = Compute.choose(request.device)
        self.zoo = SuspectZoo(request.folder, data, self.compute, self.reference.sha256(), request.progress)
        self.provenance = provenance(self.compute)
        self._rows: dict[tuple[str, int], TaskRows] = {}
        self._inputs: dict[tuple[str, int], dict[str, str]] = {}

    def rows(self, suspect: Suspect) -> TaskRows:
        """Return the rows of a suspect's task; those of the last task only are kept."""
        key = (suspect.task.name, suspect.seed)
        if key not in self._rows:
            held = max(self.plan.bench.clean_per_class)
            self._rows = {key: read_task(suspect.task, suspect.seed, held, self.data)}
        return self._rows[key]

    def inputs(self, asked: ResultSpec) -> dict[str, str]:
        """Fingerprint what a row is measured from, besides the plan."""
        key = (asked.suspect.task.name, asked.suspect.seed)
        if key not in self._inputs:
            self._inputs[key] = self.rows(asked.suspect).marks
        marks = {"reference": self.zoo.reference_sha, "tool": self.provenance["versions"]["purify-cli"]}
        marks |= self._inputs[key]
        if asked.kind in {"curve", "detection", "search"}:
            del marks["test"]  # neither the search for the ratio nor that for triggers ever sees it
        return marks

    def is_done(self, asked: ResultSpec, sha: str | None = None) -> bool:
        """Say whether a row is there and was measured under the settings, from the inputs and of the suspect given."""
        row = self.store.rows.get(asked.key)
        if row is None or row["plan"] != asked.mark or row["inputs"] != self.inputs(asked):
            return False
        if "failed" in row and self.request.retry:
            return False
        return sha is None or row["suspect"] in {sha, None}

    def work(self, suspects: list[Suspect]) -> Iterator[Row]:
        """Measure what is missing; yield each row after it has been stored."""
        for suspect in suspects:
            self.store.refresh()
            if self._complete(suspect):
                continue
            with exclusive(self.zoo.lock(suspect.name)):
                self.store.refresh()
                if not self._complete(suspect):
                    yield from self._suspect(suspect)

    def _complete(self, suspect: Suspect) -> bool:
        """Say whether nothing is missing, without a look at the models: results may outlive the work folder."""
        shas: set[str] = set()
        for asked in specs_of(suspect, self.only, self._found):
            if not self.is_done(asked):
                return False
            shas.add(self.store.rows[asked.key]["suspect"])
        return len(shas - {None}) <= 1

    def missing(self, suspects: list[Suspect]) -> list[ResultSpec]:
        """List what is missing, as far as can be foreseen."""

        def known(asked: ResultSpec) -> Result | None:
            return self._found(asked) if self.is_done(asked) else foreseen(asked)

        every = (asked for suspect in suspects for asked in specs_of(suspect, self.only, known))
        return [asked for asked in every if not self.is_done(asked)]

    def _found(self, asked: ResultSpec) -> Result | None:
        return self.store.rows.get(asked.key, {}).get("result")

    def _suspect(self, suspect: Suspect) -> Iterator[Row]:
        whole = ResultSpec("suspect", suspect)
        rows = self.rows(suspect)
        begin = perf_counter()
        try:
            with exclusive(self.zoo.lock(suspect.twin)):
                twin = self.zoo.twin(suspect, rows)
            facts, record = self.zoo.suspect(suspect, rows)
            shared = self.plan.bench
            own = Compute(
                device=self.compute.device,
                dtype=DTYPES[shared.repair_dtype],
                seed=suspect.seed,
                batch_size=REPAIR_BATCH,
                max_length=shared.max_length,
            )
            common = Common(compute=own)
            question = question_of(suspect, rows, record, self.reference, data=self.data, common=common)
        except SPOILT as error:
            yield self._failed(whole, error, None, begin)
            return
        if not self.is_done(whole, facts.sha256):

            def measure() -> dict[str, Any]:
                return suspect_result(twin, facts, record, question, reference=self.reference, compute=own)

            yield self._measured(whole, facts.sha256, measure, begin)
        if "result" not in self.store.rows[whole.key]:
            return
        for size in sizes_of(self.plan, self.only):
            yield from self._sized(suspect, size, facts, record, question=question, common=common)

    def _sized(
        self,
        suspect: Suspect,
        size: int,
        facts: ModelFacts,
        record: AttackRecord,
        *,
        question: Question,
        common: Common,
    ) -> Iterator[Row]:
        """Treat a suspect with one clean set; what is kept on disk for it is removed at the end."""
        sha = facts.sha256
        here = [asked for asked in specs_of(suspect, self.only, self._found) if asked.size == size]
        if all(self.is_done(asked, sha) for asked in here):
            return
        run = RunFolder(self.request.folder / "cells" / f"{suspect.name}-n{size}")
        run.create()
        reference = ModelFacts(path=self.plan.bench.reference, sha256=self.zoo.reference_sha)
        opened = open_pair(facts, reference, common, SILENT)
        case = BenchCase(
            suspect, RepairSession(opened, open_task(opened, common), common, run), self.rows(suspect).clean(size)
        )
        for asked in here:
            if asked.kind == "detection" and record.planted is not None and not self.is_done(asked, sha):
                planted = self.zoo.folder(suspect.name).path / Path(record.planted.path).name
                detector = str(asked.detector)
                yield self._measured(asked, sha, lambda d=detector, p=planted: case.detection(d, p))
        if wants_search(suspect, size, self.only):
            looked = ResultSpec("search", suspect, size)
            if not self.is_done(looked, sha):
                yield self._measured(looked, sha, case.search)
            case = case.searched(self.store.rows[looked.key])
        for method in methods_of(suspect, size, self.only):
            yield from self._method(case, size, method, sha, question)
        case.session.clear()
        with suppress(OSError):  # somebody put something else there
            run.path.rmdir()

    def _method(self, case: BenchCase, size: int, method: MethodPlan, sha: str, question: Question) -> Iterator[Row]:
        def missing() -> list[ResultSpec]:
            known = cells_of(case.suspect, size, method, self._found)
            return [asked for asked in known if not self.is_done(asked, sha)]

        for asked in missing():
            if asked.kind == "curve":
                yield self._measured(asked, sha, lambda: case.curve(method))
        # Which cells there are follows from the curve.
        cells = [asked for asked in missing() if asked.kind == "cell"]
        prepared = cache(lambda: case.prepare(method))  # called inside a cell's work: what it raises fails that cell
        for asked in cells:
            yield self._measured(asked, sha, lambda a=asked: case.cell(method, prepared(), a.ratio, question))

    def _measured(
        self, asked: ResultSpec, sha: str, work: Callable[[], dict[str, Any]], begin: float | None = None
    ) -> Row:
        """Do one piece of work and store what came of it."""
        begin = perf_counter() if begin is None else begin
        try:
            result = work()
        except SPOILT as error:
            return self._failed(asked, error, sha, begin)
        return self._stored(asked, sha, begin, {"result": result})

    def _failed(self, asked: ResultSpec, error: Exception, sha: str | None, begin: float) -> Row:
        return self._stored(asked, sha, begin, {"failed": {"error": type(error).__name__, "reason": str(error)}})

    def _stored(self, asked: ResultSpec, sha: str | None, begin: float, outcome: dict[str, Any]) -> Row:
        row = {
            "key": asked.key,
            "kind": asked.kind,
            "place": asked.place,
            "plan": asked.mark,
            "inputs": self.inputs(asked),
            "suspect": sha,
            **outcome,
            "seconds": round(perf_counter() - begin, 2),
            **self.provenance,
        }
        self.store.add(row)
        return row
