"""What a plan asks for: suspects, and per suspect the rows of results, each with a mark of all settings behind it.

A row's key says in words what it is (``cell/sst2/badword/s0/n32/fine-mixing/0.1``); its ``plan`` mark is a fingerprint
of those parts of the plan that decide its figures, and of nothing else: a further attack, a smaller clean set or a
tighter budget leaves the rows that are there as they are, another learning rate makes its own rows stale.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from purify_cli.bench.plan import AttackPlan, BenchPlan, MethodPlan, TaskPlan
from purify_cli.bench.report.view import Result, best_ratio, budget_counts, key_of
from purify_cli.errors import UsageError
from purify_cli.purification.plan import works_on_triggers

__all__ = [
    "DETECTORS",
    "Only",
    "ResultSpec",
    "Suspect",
    "cells_of",
    "expected_marks",
    "is_wanted",
    "methods_of",
    "parse_only",
    "sizes_of",
    "specs_of",
    "suspects_of",
    "wants_search",
]

DETECTORS: Final = ("drift-curvature", "drift", "inverse-curvature", "uniform")
"""Indicators that are scored against the known changed dimensions."""

_LABELS: Final = {"label", "tasks", "attacks", "seeds", "clean_per_class"}
"""Keys that choose or name, and change no figure."""

Only = Mapping[str, frozenset[str]]
"""A part of a plan: per kind the names that are wanted; a kind that is missing is wanted whole."""


def parse_only(given: str | None, plan: BenchPlan) -> Only:
    """Read ``--only task=sst2,attack=badword``; a kind may be given several times.

    Raises:
        UsageError: If a kind is unknown, or the plan has no such name.
    """
    known = {
        "task": {task.name for task in plan.task},
        "attack": {attack.title for attack in plan.attack},
        "method": {method.title for method in plan.method},
        "seed": {str(seed) for seed in plan.bench.seeds},
        "size": {str(size) for size in plan.bench.clean_per_class},
    }
    wanted: dict[str, frozenset[str]] = {}
    for part in given.split(",") if given else ():
        kind, equals, name = part.strip().partition("=")
        if not equals or kind not in known:
            hint = f"Kinds: {', '.join(known)}; for example --only task=sst2,seed=0."
            raise UsageError(f"--only {part!r} is not KIND=NAME", hint=hint)
        if name not in known[kind]:
            raise UsageError(f"the plan has no {kind} {name!r}", hint=f"It has: {', '.join(sorted(known[kind]))}.")
        wanted[kind] = wanted.get(kind, frozenset()) | {name}
    return wanted


def is_wanted(only: Only, kind: str, name: object) -> bool:
    """Say whether a name of a kind is in the part of the plan."""
    return kind not in only or str(name) in only[kind]


@final
@dataclass(frozen=True, slots=True)
class Suspect:
    """One model to be trained and treated."""

    plan: BenchPlan
    task: TaskPlan
    attack: AttackPlan
    seed: int

    @property
    def name(self) -> str:
        """Folder name."""
        return f"{self.task.name}-{self.attack.title}-s{self.seed}"

    @property
    def twin(self) -> str:
        """Folder name of the model trained alike on clean rows."""
        return f"{self.task.name}-clean-s{self.seed}"

    @property
    def target(self) -> str:
        """Label that the attack aims at."""
        return self.attack.target or self.task.target

    @property
    def place(self) -> dict[str, Any]:
        """Where its rows belong."""
        return {"task": self.task.name, "attack": self.attack.title, "seed": self.seed}

    @property
    def recipe(self) -> dict[str, Any]:
        """What of the plan decides its weights."""
        shared = self.plan.bench
        return {
            "task": self.task.model_dump(mode="json", exclude={"test", "test_rows", "seeds"}),
            "attack": self.attack.model_dump(mode="json", exclude={*_LABELS, "triggered"}),
            "reference": shared.reference,
            "max_length": shared.max_length,
            "dtype": shared.dtype,
            "held_back": max(shared.clean_per_class),
            "seed": self.seed,
        }

    @property
    def questions(self) -> dict[str, Any]:
        """What of the plan decides how models are measured."""
        return {
            "test": self.task.test,
            "rows": self.task.test_rows,
            "triggered": self.attack.triggered,
            "dtype": self.plan.bench.repair_dtype,
        }


@final
@dataclass(frozen=True, slots=True)
class ResultSpec:
    """One row of results that a plan asks for."""

    kind: str
    """suspect, search, detection, curve or cell."""
    suspect: Suspect
    size: int | None = None
    method: MethodPlan | None = None
    ratio: float | None = None
    detector: str | None = None

    @property
    def key(self) -> str:
        """Identity in the results file."""
        place = self.suspect.place
        parts: list[object] = [place["task"], place["attack"], f"s{place['seed']}"]
        if self.size is not None:
            parts.append(f"n{self.size}")
        if self.detector is not None:
            parts.append(self.detector)
        if self.method is not None:
            parts.append(self.method.title)
        if self.kind == "cell":
            parts.append("-" if self.ratio is None else self.ratio)
        return key_of(self.kind, *parts)

    @property
    def place(self) -> dict[str, Any]:
        """What the row is about, for tables."""
        method = None if self.method is None else self.method.title
        return self.suspect.place | {
            "size": self.size,
            "method": method,
            "ratio": self.ratio,
            "detector": self.detector,
        }

    @property
    def mark(self) -> str:
        """Fingerprint of the settings behind it."""
        suspect, shared = self.suspect, self.suspect.plan.bench
        parts: dict[str, Any] = {"kind": self.kind, "suspect": suspect.recipe, "size": self.size}
        if self.kind in {"suspect", "cell"}:
            parts["questions"] = suspect.questions
        if self.kind == "detection":
            parts["detector"] = self.detector
        if self.kind == "search" and shared.repair_dtype != "float32":
            # Left out of float32's, so that rows from before it was part of the mark still count.
            parts["dtype"] = shared.repair_dtype
        if self.method is not None:
            parts["method"] = self.method.model_dump(mode="json", exclude={*_LABELS, "ratios"})
            parts["tuning"] = (shared.steps, shared.learning_rate, shared.repair_dtype)
        if self.kind == "cell":
            parts["ratio"] = self.ratio
        if self.kind == "curve" and self.method is not None:
            parts["search"] = (self.method.ratios, shared.folds, max(shared.max_drops))
        text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def suspects_of(plan: BenchPlan, only: Only) -> Iterator[Suspect]:
    """List the suspects, one seed after the other, so that the first seed of everything comes first."""
    for seed in plan.bench.seeds:
        for task in plan.task:
            for attack in plan.attack:
                place = {"task": task.name, "attack": attack.title, "seed": seed}
                of_task = attack.tasks is None or task.name in attack.tasks
                of_seed = all(part.seeds is None or seed in part.seeds for part in (task, attack))
                if of_task and of_seed and all(is_wanted(only, kind, name) for kind, name in place.items()):
                    yield Suspect(plan, task, attack, seed)


def sizes_of(plan: BenchPlan, only: Only) -> list[int]:
    """List the sizes of the clean set that are wanted."""
    return [size for size in plan.bench.clean_per_class if is_wanted(only, "size", size)]


def methods_of(suspect: Suspect, size: int, only: Only) -> Iterator[MethodPlan]:
    """List the methods that are tried on a suspect with a clean set."""
    for method in suspect.plan.method:
        fits = (
            (method.tasks, suspect.task.name),
            (method.attacks, suspect.attack.title),
            (method.seeds, suspect.seed),
            (method.clean_per_class, size),
        )
        wanted = is_wanted(only, "method", method.title)
        if wanted and all(chosen is None or one in chosen for chosen, one in fits):
            yield method


def wants_search(suspect: Suspect, size: int, only: Only) -> bool:
    """Say whether a method is tried that works on words that a search finds."""
    return any(works_on_triggers(method.name, method.indicator) for method in methods_of(suspect, size, only))


def specs_of(suspect: Suspect, only: Only, found: Callable[[ResultSpec], Result | None]) -> Iterator[ResultSpec]:
    """List the rows of a suspect as far as they are known.

    Args:
        suspect: The suspect.
        only: The part of the plan that is wanted.
        found: What a row holds; None where there is none, or it failed: then what follows from it is not known.
    """
    whole = ResultSpec("suspect", suspect)
    yield whole
    result = found(whole)
    if result is None:
        return
    for size in sizes_of(suspect.plan, only):
        if result["planted"] is not None and suspect.plan.bench.detection:
            yield from (ResultSpec("detection", suspect, size, detector=name) for name in DETECTORS)
        if wants_search(suspect, size, only):
            yield ResultSpec("search", suspect, size)
        for method in methods_of(suspect, size, only):
            yield from cells_of(suspect, size, method, found)


def cells_of(
    suspect: Suspect, size: int, method: MethodPlan, found: Callable[[ResultSpec], Result | None]
) -> Iterator[ResultSpec]:
    """List a method's curve, and its cells once the curve is there; without budgets the cells of its whole grid."""
    if not suspect.plan.bench.chooses:
        yield from (ResultSpec("cell", suspect, size, method, ratio) for ratio in method.ratios or (None,))
        return
    curve = ResultSpec("curve", suspect, size, method)
    yield curve
    result = found(curve)
    if result is None:
        return
    if result["points"] is None:
        yield ResultSpec("cell", suspect, size, method)
        return
    # Where even the smallest ratio costs too much, the choice is to reset nothing.
    if any(best_ratio(result, budget) == 0.0 for budget in suspect.plan.bench.max_drops):
        yield ResultSpec("cell", suspect, size, method, 0.0)
    yield from (ResultSpec("cell", suspect, size, method, ratio) for ratio, _ in budget_counts(result) if ratio > 0)


def expected_marks(plan: BenchPlan, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the mark that each row of the plan must have to count.

    Of the ratios those that a stored curve tried, or in a plan that chooses none, all of its grids.
    """
    marks: dict[str, str] = {}
    for suspect in suspects_of(plan, {}):
        found = [ResultSpec("suspect", suspect)]
        for size in plan.bench.clean_per_class:
            found += [ResultSpec("search", suspect, size)]
            found += [ResultSpec("detection", suspect, size, detector=name) for name in DETECTORS]
            for method in methods_of(suspect, size, {}):
                ratios: Iterable[float] = method.ratios or ()
                if plan.bench.chooses:
                    curve = ResultSpec("curve", suspect, size, method)
                    stored = rows.get(curve.key, {}).get("result")
                    ratios = [0.0, *(ratio for ratio, _ in budget_counts(stored))] if stored else []
                    found += [curve]
                found += [ResultSpec("cell", suspect, size, method, ratio) for ratio in (None, *ratios)]
        marks |= {asked.key: asked.mark for asked in found}
    return marks
