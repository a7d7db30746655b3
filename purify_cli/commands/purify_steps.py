"""The steps of ``purify purify``: what each of them needs of the request, and what it says and keeps."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from purify_cli.checkpoint import write_bytes
from purify_cli.data.example import Example
from purify_cli.detection.search import search_for_triggers
from purify_cli.errors import PurifyError
from purify_cli.evidence.search_outcome import SearchOutcome
from purify_cli.inputs.identity import DataFacts, FileFact
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import Utility, lost, summarised
from purify_cli.model import LoadedModel
from purify_cli.progress import Progress
from purify_cli.purification.clean_rows import CleanSplit, split_rows, unsplit
from purify_cli.purification.known_search import KnownSearch
from purify_cli.purification.plan import Plan, Stage
from purify_cli.purification.ratio_search import RatioChoice, search_ratio
from purify_cli.purification.repair_rounds import Round, describe_choice
from purify_cli.purification.repair_session import PreparedDefence, RepairSession
from purify_cli.purification.self_test import SelfTest, self_test
from purify_cli.purification.stages import RepairedModel
from purify_cli.purification.verification import UtilityChange
from purify_cli.records.base import TrainingFacts
from purify_cli.report.curve import draw_curve
from purify_cli.requests.purify import PurifyRequest
from purify_cli.selection.mask import write_mask
from purify_cli.tasks.base import Task
from purify_cli.training import TrainingResult
from purify_cli.trigger_search.found import FoundTrigger

__all__ = [
    "announce",
    "chosen_ratio",
    "plot",
    "searched_again",
    "self_tested",
    "settings_of",
    "split_of",
    "stored_mask",
    "training_facts",
    "utility_change",
    "with_known_targets",
]

BEYOND: Final = 0.1
"""A search goes on past the budget, so that the curve shows where accuracy falls, until a ratio has lost this much
more: larger ones would only cost time. Ours."""


ROUNDING: Final = 1e-9
"""A loss of exactly the budget is within it, however the fractions are rounded."""


def announce(request: PurifyRequest, defence: PreparedDefence, known: KnownSearch, split: CleanSplit) -> None:
    """Say what is done, before it takes its time."""
    request.progress.note(describe_choice(defence, known))
    if request.finetune and split.tuned:
        request.progress.note(f"fine-tuning on {len(split.tuned)} clean samples")


def training_facts(training: TrainingResult | None, progress: Progress) -> TrainingFacts | None:
    """Write the fine-tuning down; tell of a number of steps that it chose itself."""
    if training is None:
        return None
    if training.settings.stop is not None and training.stopped_early:
        progress.note(f"{training.steps} of {training.settings.steps} steps: more do not help samples left out")
    return TrainingFacts.of(training)


def settings_of(request: PurifyRequest, stages: Sequence[Stage]) -> dict[str, Any]:
    """Collect what could change the result; of a composition, each stage's under its own name."""
    scored = {
        f"{stage.method}.{name}" if len(stages) > 1 else name: value
        for stage in stages
        for name, value in (stage.settings | {"replacement": stage.replacement}).items()
    }
    rest = {"finetune": request.finetune, "estimator": request.estimator}
    rest |= {"effort": request.effort}
    lengths = {"max_length": request.common.compute.max_length, "batch_size": request.common.compute.batch_size}
    return scored | rest | lengths


def chosen_ratio(
    request: PurifyRequest,
    defence: PreparedDefence,
    rows: Sequence[Example],
    options: Mapping[str, Any],
) -> RatioChoice:
    """Look for the ratio on the clean samples alone."""
    budget = defence.session.task.max_drop if request.max_drop is None else request.max_drop
    curve = search_ratio(
        defence.session,
        defence.method,
        rows,
        triggers=defence.triggers,
        folds=request.folds,
        seed=request.common.compute.seed,
        stop_below=budget + BEYOND,
        progress=request.progress,
        **options,
    )
    defence.session.clear()
    choice = curve.choose(budget)
    if isinstance(curve.baseline, Proportion):
        may = f"accuracy may fall by {budget:g}, and one sample counts {choice.resolution:.3f}"
    else:
        may = f"perplexity may rise by {budget:.0%}"
    request.progress.note(f"ratio {choice.chosen:g} chosen: {may}")
    return choice


def plot(run: RunFolder, curve: RatioChoice | None, method: str, progress: Progress) -> None:
    """Draw the curve beside the record; a plot of an earlier search does not outlive it."""
    path = run.path / "ratio.png"
    drawn = None if curve is None else draw_curve(curve, method)
    if drawn is not None:
        write_bytes(path, drawn)
        return
    path.unlink(missing_ok=True)
    if curve is not None:
        progress.note("matplotlib is not installed, so the curve was not drawn; purification.json holds it")


def stored_mask(run: RunFolder, repaired: RepairedModel) -> FileFact | None:
    """Write the mask; one beside a record that has none would be read as its own."""
    if repaired.mask is None or repaired.scored is None:
        run.mask.unlink(missing_ok=True)
        return None
    run.create()
    sha = write_mask(run.mask, repaired.mask, {"indicator": repaired.scored.facts.name})
    return FileFact(path=str(run.mask), sha256=sha)


def split_of(
    request: PurifyRequest,
    plan: Plan,
    session: RepairSession,
    rows: list[Example],
    *,
    known: KnownSearch,
    data: DataFacts | None,
) -> CleanSplit:
    """Hold rows back where something is to be measured on them: what is left of found words, or a budget is kept."""
    budget = request.max_drop is not None and plan.ratio != "auto"  # a search for the ratio has folds of its own
    if rows and (known.triggers or budget):
        return split_rows(rows, session.task, seed=request.common.compute.seed, searched=known.chose_on(data))
    return unsplit(rows)


def utility_change(
    request: PurifyRequest, session: RepairSession, split: CleanSplit, done: Round
) -> UtilityChange | None:
    """Say what utility was and is, on held-back rows where there are any."""
    measured: tuple[Utility, Utility] | None = done.proof.utility
    if measured is None and split.tuned:
        before, after = (session.task.utility(model, split.tuned) for model in (done.proof.suspect, done.loaded))
    elif measured is not None:
        before, after = measured
    else:
        return None
    budget = None if request.ratio == "auto" else request.max_drop
    return UtilityChange(
        measured_on=split.held_back.measured_on if split.held_back else "the clean samples that were used for it",
        before=summarised(before),
        after=summarised(after),
        max_drop=budget,
        within_budget=None if budget is None else lost(before, after) <= budget + ROUNDING,
    )


def searched_again(
    request: PurifyRequest, session: RepairSession, rows: list[Example], loaded: LoadedModel
) -> SearchOutcome | None:
    """Look for triggers in the purified model."""
    if request.effort == "none":
        return None
    request.progress.note("searching the purified model")
    outcome = search_for_triggers(session, rows, request.effort, model=loaded)
    session.clear()
    return outcome


def self_tested(
    request: PurifyRequest,
    session: RepairSession,
    split: CleanSplit,
    chosen: tuple[str, float | None],
    options: Mapping[str, Any],
) -> SelfTest | None:
    """Do the same, method and ratio, to a copy that holds triggers of our own."""
    if not request.self_test:
        return None
    method, ratio = chosen

    def repair(copy: RepairSession, rows: Sequence[Example]) -> LoadedModel:
        return copy.prepare(method, rows, **options).repair(ratio, rows if request.finetune else ())[0]

    try:
        return self_test(session, split.tuned, repair, split.folds[0].held if not split.stands_in else ())
    except PurifyError as error:  # the repair itself may do well
        request.progress.note(f"no self-test: {error}")
        return SelfTest(decoys=(), missing=str(error))


def with_known_targets(found: Sequence[FoundTrigger], task: Task) -> Sequence[FoundTrigger]:
    """Refuse triggers that aim at nothing the suspect has."""
    for one in found:
        task.check_target(one)
    return found
