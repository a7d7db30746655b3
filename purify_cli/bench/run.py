"""The loop of ``purify bench``: what is missing is measured, row by row; what is there is left alone.

Each row is on the disk before the next is begun. Whatever ends the process, the next one goes on with the row that was
being measured; a training of a suspect goes on from its last state. Processes that share work folder and results
(``--shard``, or simply two of the same) keep out of each other's way: a suspect is locked while it is worked on.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any, final

from purify_cli.bench.case import BenchCase
from purify_cli.bench.eta import Eta
from purify_cli.bench.grid import DETECTORS, Only, ResultSpec, Suspect, methods_of, suspects_of, wants_search
from purify_cli.bench.measuring import Examiner, examiner, suspect_result
from purify_cli.bench.plan import BenchPlan, MethodPlan
from purify_cli.bench.provenance import provenance
from purify_cli.bench.report.view import best_ratio, budget_counts
from purify_cli.bench.rows import Files, TaskRows, check_files, read_task
from purify_cli.bench.store import Row, Store, claim, exclusive
from purify_cli.bench.zoo import SuspectZoo
from purify_cli.checkpoint import open_checkpoint
from purify_cli.errors import DataError, NonFiniteWeights, TrainingDiverged, UsageError
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
    (number, parts), progress, only = read_shard(request.shard), request.progress, Only.parse(request.only, plan)
    suspects = list(suspects_of(plan, only))
    if not suspects:
        raise UsageError("nothing of the plan is left to measure", hint="Look at --only, and at seeds and tasks.")
    Compute.choose(request.device)  # refused before anything is written
    files = Files(None if request.data is None else Path(request.data).absolute())
    check_files(suspects, files)
    store = Store(results)
    claim(store, plan)
    mine = suspects[number - 1 :: parts]
    loop = _Loop(request, plan, only, files, store)
    total = loop.pace.pending(mine, only, loop.is_done)
    progress.note(f"{plan.bench.name}: {len(mine)} suspects, about {total} rows to measure")
    for row in progress.track(loop.work(mine), "rows", total=total):
        progress.note(loop.pace.told(row, mine, only, loop.is_done))
    return store


@final
class _Loop:
    """One process at work on its part of a plan."""

    def __init__(self, request: BenchRequest, plan: BenchPlan, only: Only, files: Files, store: Store) -> None:
        self.request, self.files, self.store, self.progress = request, files, store, request.progress
        self.plan, self.only = plan, only
        self.reference = open_checkpoint(self.plan.bench.reference)
        self.compute = Compute.choose(request.device)
        self.zoo = SuspectZoo(request.folder, files, self.compute, self.reference.sha256(), request.progress)
        self.provenance = provenance(self.compute)
        self.pace = Eta(store)
        self._rows: dict[tuple[str, int], TaskRows] = {}
        self._inputs: dict[tuple[str, int], dict[str, str]] = {}

    def rows(self, suspect: Suspect) -> TaskRows:
        """Return the rows of a suspect's task; those of the last task only are kept."""
        key = (suspect.task.name, suspect.seed)
        if key not in self._rows:
            held = max(self.plan.bench.clean_per_class)
            self._rows = {key: read_task(suspect.task, suspect.seed, held, self.files)}
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
        for asked in self._all(suspect):
            if not self.is_done(asked):
                return False
            shas.add(self.store.rows[asked.key]["suspect"])
        return len(shas - {None}) <= 1

    def _all(self, suspect: Suspect) -> Iterator[ResultSpec]:
        """List the rows of a suspect as far as they are known: which cells there are follows from the curve."""
        whole = ResultSpec("suspect", suspect)
        yield whole
        result = self.store.rows.get(whole.key, {}).get("result")
        if result is None:
            return
        for size in self._sizes():
            if result["planted"] is not None and self.plan.bench.detection:
                yield from (ResultSpec("detection", suspect, size, detector=name) for name in DETECTORS)
            if wants_search(suspect, size, self.only):
                yield ResultSpec("search", suspect, size)
            for method in methods_of(suspect, size, self.only):
                yield from self._cells(suspect, size, method)

    def _sizes(self) -> list[int]:
        return [size for size in self.plan.bench.clean_per_class if self.only.has("size", size)]

    def _cells(self, suspect: Suspect, size: int, method: MethodPlan) -> Iterator[ResultSpec]:
        if not self.plan.bench.chooses:
            yield from (ResultSpec("cell", suspect, size, method, ratio) for ratio in method.ratios or (None,))
            return
        curve = ResultSpec("curve", suspect, size, method)
        yield curve
        row = self.store.rows.get(curve.key, {})
        if "result" not in row:
            return
        found = row["result"]
        if found["points"] is None:
            yield ResultSpec("cell", suspect, size, method)
            return
        # Where even the smallest ratio costs too much, the choice is to reset nothing.
        if any(best_ratio(found, budget) == 0.0 for budget in self.plan.bench.max_drops):
            yield ResultSpec("cell", suspect, size, method, 0.0)
        yield from (ResultSpec("cell", suspect, size, method, ratio) for ratio, _ in budget_counts(found) if ratio > 0)

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
            asking = examiner(suspect, rows, record, self.reference, files=self.files, common=common)
        except SPOILT as error:
            yield self._failed(whole, error, None, begin)
            return
        if not self.is_done(whole, facts.sha256):
            yield self._measured(whole, facts.sha256, lambda: suspect_result(twin, facts, record, asking), begin)
        if "result" not in self.store.rows[whole.key]:
            return
        for size in self._sizes():
            yield from self._sized(suspect, size, facts, record, asking=asking, common=common)

    def _sized(
        self, suspect: Suspect, size: int, facts: ModelFacts, record: AttackRecord, *, asking: Examiner, common: Common
    ) -> Iterator[Row]:
        """Treat a suspect with one clean set; what is kept on disk for it is removed at the end."""
        sha = facts.sha256
        here = [asked for asked in self._all(suspect) if asked.size == size]
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
            yield from self._method(case, size, method, sha, asking)
        case.session.clear()
        with suppress(OSError):  # somebody put something else there
            run.path.rmdir()

    def _method(self, case: BenchCase, size: int, method: MethodPlan, sha: str, asking: Examiner) -> Iterator[Row]:
        curve = ResultSpec("curve", case.suspect, size, method)
        if all(self.is_done(asked, sha) for asked in self._cells(case.suspect, size, method)):
            return
        if self.plan.bench.chooses and not self.is_done(curve, sha):
            yield self._measured(curve, sha, lambda: case.curve(method))
        missing = [a for a in self._cells(case.suspect, size, method) if a.kind == "cell" and not self.is_done(a, sha)]
        defence = case.prepare(method) if missing else None
        for asked in missing:
            assert defence is not None
            yield self._measured(asked, sha, lambda a=asked, t=defence: case.cell(method, t, a.ratio, asking))

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
