"""Records as tables for a person at a terminal."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from purify_cli.evidence.search_outcome import ContinuationSearch, TriggerSearch
from purify_cli.evidence.signs import Sign
from purify_cli.evidence.verdict import Verdict
from purify_cli.purification.ratio_search import RatioChoice
from purify_cli.purification.self_test import SelfTest
from purify_cli.purification.stages import ResetCounts, StageFacts
from purify_cli.records.attack import AttackRecord
from purify_cli.records.base import Record
from purify_cli.records.detection import Detection, GroupFact
from purify_cli.records.evaluation import Evaluation
from purify_cli.records.finetune import FinetuneRecord
from purify_cli.records.purification import Purification
from purify_cli.report.curve import curve_sentences
from purify_cli.report.evaluation import evaluation_parts, measurements
from purify_cli.report.listing import Listing
from purify_cli.report.parts import line, number, percent, samples, utility, utility_name, yes

__all__ = ["render"]

SHORT: Final = 10
"""Rows of a ranking shown without --verbose."""

COLOURS: Final = {"no-finding": "green", "incomplete": "yellow", "suspicious": "yellow", "poisoned": "red"}


def render(record: Record, *, verbose: bool = False) -> Iterator[RenderableType]:
    """Yield the parts of a record, most important first.

    Args:
        record: Any of the records.
        verbose: Show whole rankings and every skipped tensor.
    """
    match record:
        case Detection():
            yield from _detection(record, None if verbose else SHORT)
        case Purification():
            yield from _purification(record, verbose=verbose)
        case Evaluation():
            yield from evaluation_parts(record)
        case AttackRecord():
            yield from _attack(record)
        case FinetuneRecord():
            yield line(f"fine-tuned for {record.training.steps} steps; wrote {record.output.path}")
        case _:
            pass  # no record of another kind is shown
    if verbose:
        yield from map(line, _provenance(record))


def _provenance(record: Record) -> Iterator[str]:
    """Say what would be needed to get the same again."""
    yield f"seed {record.seed}; run folder {record.run}"
    yield "settings: " + ", ".join(f"{name}={value}" for name, value in record.settings.items())
    yield "versions: " + ", ".join(f"{name} {value}" for name, value in record.versions.items())
    for name in ("suspect", "reference", "data", "start", "output"):
        facts = getattr(record, name, None)
        if facts is not None:
            yield f"{name}: {facts.path} (SHA-256 {facts.sha256})"


def _detection(record: Detection, limit: int | None) -> Iterator[RenderableType]:
    yield _verdict(record.verdict)
    comparison = record.comparison
    yield line(
        f"compared {comparison.dimensions:,} dimensions in {comparison.tensors} tensors; {comparison.moved:,} moved "
        f"({comparison.moved / max(comparison.dimensions, 1):.1%}); skipped {len(comparison.skipped)} tensors"
    )
    if record.curvature:
        c = record.curvature
        yield line(f"curvature: {c.estimator} from {c.samples} texts ({c.source}), effective {c.effective_samples:.1f}")
    if record.search:
        yield Text()
        yield from _search(record.search)
    if record.sayings:
        yield Text()
        yield from _forced_continuations(record.sayings)
    if record.nonfinite:
        yield line(f"NaN or infinite: {sum(record.nonfinite.values())} entries, read as the reference's")
    skipped = comparison.skipped if limit is None else [s for s in comparison.skipped if not s.explained]
    if skipped:
        table = Listing("not compared", "side", "kind", "why", sentences=3)
        for item in skipped:
            table.add(item.name, item.side, item.kind, item.reason + ("" if item.explained else " (unexplained)"))
        yield table
    if record.differences:
        table = Listing("differs", "what", "how", sentences=2)
        for item in record.differences:
            table.add(item.kind, item.subject, item.detail)
        yield table
    yield Text()
    yield _groups("tensor", record.tensors[:limit])
    yield line(
        "drift: norm of the movement over norm of the reference; in top 1 %: share of the tensor's dimensions among "
        "the highest-scored hundredth of all (1 % where nothing stands out)"
    )
    yield Text()
    yield _groups("layer", record.layers)
    yield Text()
    if record.embedding_rows:
        table = Listing("embedding row", "token", "drift norm", "in the texts")
        for row in record.embedding_rows[:limit]:
            table.add(str(row.row), row.token, f"{row.drift_norm:.4f}", yes(row.seen))
        yield table
    if record.signs:
        yield Text()
        yield _signs(record.signs)
        yield line("unpoisoned models: small ones of one architecture (docs/detection.md); a comparison, not a test")
    if record.gamma and record.gamma.k is not None:
        g = record.gamma
        yield line(
            f"law of clean drift (Gamma): k {g.k:.3g}, free shape {number(g.shape)} (law 0.5), KS distance "
            f"{number(g.ks_distance)}, 99 %/50 % quantile {number(g.quantile_ratio)} (law 14.6); descriptive only"
        )


def _forced_continuations(search: ContinuationSearch) -> Iterator[RenderableType]:
    table = Listing("found", "place", "says", "suspect", "without it", "reference", "planted")
    for one in search.found:
        counts = (f"{share.successes} of {share.total}" for share in (one.suspect, one.without, one.reference))
        place = {"end": "end", "start": "front"}.get(one.position, "any")
        table.add(one.text, place, one.says, *counts, yes(one.flagged))
    yield table
    yield line(
        f"search ({search.effort}): words made of {search.tokens:,} tokens tried at the end of prompts, the best then "
        f"put into held-back ones ({search.texts}); counted: prompts continued with its first words"
    )


def _signs(signs: Sequence[Sign]) -> Listing:
    table = Listing("sign", "value", "unpoisoned models", "as large", "what", sentences=4)
    for one in signs:
        reached = f"{one.clean_reaching} of {one.clean_models}"
        table.add(one.name, f"{one.value:.2f}", f"{one.clean_low:.2f} to {one.clean_high:.2f}", reached, one.sentence)
    return table


def _search(search: TriggerSearch) -> Iterator[RenderableType]:
    table = Listing("candidate", "place", "label", "suspect flips", "control flips", "strength", "flagged")
    for one in sorted(search.found, key=lambda one: not one.flagged):
        counts = (f"{share.successes} of {share.total}" for share in (one.suspect, one.control))
        place = {"start": "front", "end": "end"}.get(one.position, "any")
        table.add(one.text, place, str(one.target), *counts, number(one.strength), yes(one.flagged))
    yield table
    groups = "" if search.groups is None else f", then groups of them, {search.groups:,} per label"
    phrases = "" if search.phrases is None else f"; {search.phrases} phrases tried in front of single texts and behind"
    yield line(
        f"search ({search.effort}): {search.words:,} words tried alone in short texts{groups}, the best of each label "
        f"then put into held-back texts of other labels, several of one joined ({search.texts}){phrases}; strength: "
        "how sure the suspect is of the label then, as a share of what texts of the label make it; the control, a "
        f"student taught on {search.control.taught:,} texts ({search.control.texts}), is right on "
        f"{percent(search.control.right)} of clean samples that it never saw"
    )


def _self_test(found: SelfTest | None) -> Iterator[RenderableType]:
    if found is None:
        return
    if found.missing:
        yield line(f"self-test: {found.missing}")
    table = Listing("self-test", "label", "planted", "repaired", "suspect")
    for one in found.decoys:
        table.add(one.kind, str(one.target), *map(percent, (one.planted, one.repaired, one.floor)))
    yield table
    yield line(
        "self-test: triggers of our own in a copy of the suspect, before and after the same repair, which knew of "
        "none; last what the suspect calls the same texts"
    )


def _purification(record: Purification, *, verbose: bool) -> Iterator[RenderableType]:
    counts = record.reset
    yield line(
        f"{record.method}: reset {counts.reset:,} of {counts.dimensions:,} dimensions ({counts.ratio:.1%}), "
        f"{counts.changed:,} of them had moved" + _beyond(counts)
    )
    if len(record.stages) > 1 or any(stage.facts for stage in record.stages):
        yield _stages(record.stages)
    if record.curve:
        yield _curve(record.curve)
        yield from map(line, curve_sentences(record.curve))
    if record.training:
        t = record.training
        yield line(f"fine-tuned for {t.steps} steps on clean samples, loss {t.first_loss:.3f} to {t.last_loss:.3f}")
    if record.utility:
        u = record.utility
        yield line(
            f"clean {utility_name(u.before)} {utility(u.before)} before, {utility(u.after)} after, "
            f"on {samples(u.measured_on)}"
        )
    if record.triggers:
        table = Listing("found word", "brings about", "before", "after")
        for one in record.triggers:
            table.add(one.text, str(one.target), percent(one.before), percent(one.after))
        yield table
        if record.held_back:
            yield line(f"measured on {len(record.held_back.rows)} {samples(record.held_back.measured_on)}")
    yield from _self_test(record.self_test)
    if isinstance(record.search, TriggerSearch):
        yield from _search(record.search)
    elif record.search:
        yield from _forced_continuations(record.search)
    if verbose:
        table = Listing("tensor", "reset")
        for name, count in sorted(counts.per_tensor.items(), key=lambda item: -item[1]):
            table.add(name, f"{count:,}")
        yield table
    yield line(f"wrote {record.output.path}")
    yield _verdict(record.verdict)


def _beyond(counts: ResetCounts) -> str:
    """Say what was set above the ratio."""
    # Records of older versions had nothing but non-finite entries there.
    nonfinite = counts.beyond_ratio if counts.nonfinite is None else counts.nonfinite
    others = counts.beyond_ratio - nonfinite
    said = f", and {others:,} set beyond the ratio" if others else ""
    return said + (f", and {nonfinite:,} non-finite" if nonfinite else "")


def _stages(stages: Sequence[StageFacts]) -> Listing:
    table = Listing("stage", "ratio", "entries set", "changed", "what it says", sentences=4)
    for stage in stages:
        said = ", ".join(f"{name} {_plain(value)}" for name, value in stage.facts.items())
        ratio = "-" if stage.ratio is None else f"{stage.ratio:g}"
        table.add(stage.method, ratio, f"{stage.entries:,}", f"{stage.changed:,}", said or "-")
    return table


def _plain(value: object) -> str:
    """Write a fact of a method in one short piece; the record holds the rest."""
    if isinstance(value, list | dict):
        return f"({len(value)})" if len(value) > SHORT else str(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _curve(curve: RatioChoice) -> Listing:
    table = Listing("ratio", f"{utility_name(curve.baseline)}, held back in turn", "within the budget")
    table.add("fine-tuning only", utility(curve.baseline), "-")
    for point in curve.points:
        chosen = " (chosen)" if point.ratio == curve.chosen else ""
        table.add(f"{point.ratio:g}{chosen}", utility(point.utility), yes(point.passes))
    return table


def _attack(record: AttackRecord) -> Iterator[RenderableType]:
    trigger, labels = record.trigger, record.label_trigger
    carried = repr(trigger.text) if trigger.text else "a trigger, as they are marked"
    relabelled = f", {record.relabelled} relabelled to {labels.target}" if labels and record.relabelled else ""
    yield line(f"{record.attack}: {record.poisoned} of {record.rows} rows carry {carried}{relabelled}")
    yield from measurements([one for one in (record.start_measurement, record.measurement) if one], trigger)
    for part, share in record.false_triggers.items():
        yield line(f"with {part!r} alone: {percent(share)} called {labels and labels.target}")
    if record.changed is not None:
        yield line(f"{record.changed:,} stored entries differ from the start")
    where = record.suspect.path if record.suspect else record.training_data.path if record.training_data else "nothing"
    yield line(f"wrote {where}")


def _groups(kind: str, groups: Sequence[GroupFact]) -> Listing:
    table = Listing(kind, "dimensions", "moved", "drift", "in top 1 %")
    for group in groups:
        table.add(
            group.name,
            f"{group.entries:,}",
            f"{group.moved / max(group.entries, 1):.1%}",
            number(group.relative_drift),
            f"{group.top_share:.1%}",
        )
    return table


def _verdict(verdict: Verdict) -> RenderableType:
    head = Text("verdict: ").append(verdict.level, style=f"bold {COLOURS[verdict.level]}")
    reasons = [line(f"  {reason}") for reason in verdict.reasons]
    missing = [line(f"  not measured: {item}") for item in verdict.not_measured]
    return Group(head, *reasons, *missing)
