"""Records as tables for a person at a terminal."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from purify_cli.errors import printable
from purify_cli.report.curve import curve_sentences
from purify_cli.report.language import text_sentences
from purify_cli.report.schema import (
    AttackRecord,
    CausalAttackRecord,
    CausalEvaluation,
    Detection,
    Evaluation,
    FinetuneRecord,
    GroupFact,
    ModelMeasurement,
    ProportionFact,
    Purification,
    RatioCurveFacts,
    Record,
    ResetCounts,
    StageFacts,
    TextModelMeasurement,
    TriggerFact,
    Verdict,
)

__all__ = ["measurement_table", "percent", "render"]

SHORT: Final = 10
"""Rows of a ranking shown without --verbose."""

COLOURS: Final = {"clean": "green", "incomplete": "yellow", "suspicious": "yellow", "poisoned": "red"}


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
            yield measurement_table(record.models)
            yield from map(_line, _explained(record.models, record.trigger))
        case AttackRecord():
            yield from _attack(record)
        case CausalAttackRecord():
            yield _line(f"{record.attack}: {record.poisoned} of {record.rows} texts hold {record.trigger.text!r}")
            yield _texts([record.before, record.measurement])
            yield from map(_line, text_sentences([record.before, record.measurement], record.trigger))
            yield _line(f"wrote {record.suspect.path}")
        case CausalEvaluation():
            shown = [*record.models, *([record.floor] if record.floor else [])]
            yield _texts(shown)
            sentences = text_sentences(shown, record.trigger, natural=record.natural, dropped=record.dropped)
            yield from map(_line, sentences)
        case FinetuneRecord():
            yield _line(f"fine-tuned for {record.training.steps} steps; wrote {record.output.path}")
        case _:
            pass  # no record of another kind is shown
    if verbose:
        yield from map(_line, _provenance(record))


def _provenance(record: Record) -> Iterator[str]:
    """Say what would be needed to get the same again."""
    yield f"seed {record.seed}; run folder {record.run}"
    yield "settings: " + ", ".join(f"{name}={value}" for name, value in record.settings.items())
    yield "versions: " + ", ".join(f"{name} {value}" for name, value in record.versions.items())
    for name in ("suspect", "reference", "data", "start", "output"):
        facts = getattr(record, name, None)
        if facts is not None:
            yield f"{name}: {facts.path} (SHA-256 {facts.sha256})"


def percent(share: ProportionFact | None) -> str:
    """Write a proportion with its interval, for example ``87.3 % (85.0-89.3)``."""
    if share is None:
        return "-"
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f})"


def measurement_table(models: Sequence[ModelMeasurement]) -> Table:
    """Compare models: one row each, shares with 95 % intervals."""
    table = _table("model", "accuracy", "attack success", "without trigger", wide=0)
    for model in models:
        _row(table, model.name, percent(model.accuracy), percent(model.attack_success), percent(model.target_rate))
    return table


def _detection(record: Detection, limit: int | None) -> Iterator[RenderableType]:
    yield _verdict(record.verdict)
    comparison = record.comparison
    yield _line(
        f"compared {comparison.dimensions:,} dimensions in {comparison.tensors} tensors; {comparison.moved:,} moved "
        f"({comparison.moved / max(comparison.dimensions, 1):.1%}); skipped {len(comparison.skipped)} tensors"
    )
    if record.curvature:
        c = record.curvature
        yield _line(
            f"curvature: {c.estimator} from {c.samples} texts ({c.source}), effective {c.effective_samples:.1f}"
        )
    if record.nonfinite:
        yield _line(f"NaN or infinite: {sum(record.nonfinite.values())} entries, read as the reference's")
    skipped = comparison.skipped if limit is None else [s for s in comparison.skipped if not s.explained]
    if skipped:
        table = _table("not compared", "side", "kind", "why", wide=3)
        for item in skipped:
            _row(table, item.name, item.side, item.kind, item.reason + ("" if item.explained else " (unexplained)"))
        yield table
    if record.differences:
        table = _table("differs", "what", "how", wide=2)
        for item in record.differences:
            _row(table, item.kind, item.subject, item.detail)
        yield table
    yield Text()
    yield _groups("tensor", record.tensors[:limit])
    yield _line(
        "drift: norm of the movement over norm of the reference; in top 1 %: share of the tensor's dimensions among "
        "the highest-scored hundredth of all (1 % where nothing stands out)"
    )
    yield Text()
    yield _groups("layer", record.layers)
    yield Text()
    if record.embedding_rows:
        table = _table("embedding row", "token", "drift norm", "in the texts", wide=1)
        for row in record.embedding_rows[:limit]:
            _row(table, str(row.row), row.token, f"{row.drift_norm:.4f}", _yes(row.seen))
        yield table
    if record.gamma and record.gamma.k is not None:
        g = record.gamma
        yield _line(
            f"law of clean drift (Gamma): k {g.k:.3g}, free shape {_number(g.shape)} (law 0.5), KS distance "
            f"{_number(g.ks_distance)}, 99 %/50 % quantile {_number(g.quantile_ratio)} (law 14.6); descriptive only"
        )


def _purification(record: Purification, *, verbose: bool) -> Iterator[RenderableType]:
    counts = record.reset
    yield _line(
        f"{record.method}: reset {counts.reset:,} of {counts.dimensions:,} dimensions ({counts.ratio:.1%}), "
        f"{counts.changed:,} of them had moved" + _beyond(counts)
    )
    if len(record.stages) > 1 or any(stage.facts for stage in record.stages):
        yield _stages(record.stages)
    if record.curve:
        yield _curve(record.curve)
        yield from map(_line, curve_sentences(record.curve))
    if record.training:
        t = record.training
        yield _line(f"fine-tuned for {t.steps} steps on clean samples, loss {t.first_loss:.3f} to {t.last_loss:.3f}")
    if record.utility:
        u = record.utility
        yield _line(f"clean accuracy {percent(u.before)} before, {percent(u.after)} after, on {u.measured_on}")
    if verbose:
        table = _table("tensor", "reset", wide=0)
        for name, count in sorted(counts.per_tensor.items(), key=lambda item: -item[1]):
            _row(table, name, f"{count:,}")
        yield table
    yield _line(f"wrote {record.output.path}")
    yield _verdict(record.verdict)


def _beyond(counts: ResetCounts) -> str:
    """Say what was set above the ratio."""
    # Records of older versions had nothing but non-finite entries there.
    nonfinite = counts.beyond_ratio if counts.nonfinite is None else counts.nonfinite
    others = counts.beyond_ratio - nonfinite
    said = f", and {others:,} set by other stages" if others else ""
    return said + (f", and {nonfinite:,} non-finite" if nonfinite else "")


def _stages(stages: Sequence[StageFacts]) -> Table:
    table = _table("stage", "ratio", "entries set", "changed", "what it says", wide=4)
    for stage in stages:
        said = ", ".join(f"{name} {_plain(value)}" for name, value in stage.facts.items())
        ratio = "-" if stage.ratio is None else f"{stage.ratio:g}"
        _row(table, stage.method, ratio, f"{stage.entries:,}", f"{stage.changed:,}", said or "-")
    return table


def _plain(value: object) -> str:
    """Write a fact of a method in one short piece; the record holds the rest."""
    if isinstance(value, list | dict):
        return f"({len(value)})" if len(value) > SHORT else str(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _curve(curve: RatioCurveFacts) -> Table:
    table = _table("ratio", "accuracy, held back in turn", "within the budget", wide=1)
    _row(table, "fine-tuning only", percent(curve.baseline), "-")
    for point in curve.points:
        chosen = " (chosen)" if point.ratio == curve.chosen else ""
        _row(table, f"{point.ratio:g}{chosen}", percent(point.accuracy), _yes(point.passes))
    return table


def _attack(record: AttackRecord) -> Iterator[RenderableType]:
    yield _line(
        f"{record.attack}: {record.poisoned} of {record.rows} rows carry {record.trigger.text!r}, "
        f"{record.relabelled} relabelled to {record.trigger.target}"
    )
    if record.measurement:
        yield measurement_table([record.measurement])
        yield from map(_line, _explained([record.measurement], record.trigger))
    where = record.suspect.path if record.suspect else record.training_data.path if record.training_data else "nothing"
    yield _line(f"wrote {where}")


def _texts(models: Sequence[TextModelMeasurement]) -> Table:
    """Compare language models: one row each, shares with 95 % intervals."""
    table = _table("model", "perplexity", "attack success", "without trigger", wide=0)
    for model in models:
        _row(table, model.name, _number(model.perplexity), percent(model.attack_success), percent(model.false_triggers))
    return table


def _explained(models: Sequence[ModelMeasurement], trigger: TriggerFact | None) -> Iterator[str]:
    """Say what the columns count."""
    if not models:
        return
    first = models[0]
    yield f"accuracy: on {first.accuracy.total} rows as they are; in brackets 95 % intervals"
    if trigger is None or first.attack_success is None:
        yield "no trigger known, so accuracy only (--trigger and --target measure attack success)"
        return
    yield (
        f"attack success: of {first.attack_success.total} rows of other labels, the share that {trigger.text!r} "
        f"({trigger.position}) turns into label {trigger.target}; without trigger: the share called so anyway"
    )
    if first.trigger_lost:
        yield f"{first.trigger_lost} rows left out because truncation cut the trigger"


def _groups(kind: str, groups: Sequence[GroupFact]) -> Table:
    table = _table(kind, "dimensions", "moved", "drift", "in top 1 %", wide=0)
    for group in groups:
        _row(
            table,
            group.name,
            f"{group.entries:,}",
            f"{group.moved / max(group.entries, 1):.1%}",
            _number(group.relative_drift),
            f"{group.top_share:.1%}",
        )
    return table


def _verdict(verdict: Verdict) -> RenderableType:
    head = Text("verdict: ").append(verdict.level, style=f"bold {COLOURS[verdict.level]}")
    reasons = [_line(f"  {reason}") for reason in verdict.reasons]
    missing = [_line(f"  not measured: {item}") for item in verdict.not_measured]
    return Group(head, *reasons, *missing)


def _table(*columns: str, wide: int) -> Table:
    """Make a table whose column number ``wide`` may take several lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index != wide)
    return table


def _row(table: Table, *cells: str) -> None:
    """Add cells as plain text: names and tokens come from the suspect and must not be read as markup."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def _line(sentence: str) -> Text:
    return Text(printable(sentence))


def _yes(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
