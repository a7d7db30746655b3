"""Models side by side, as a person reads them: one table per trigger, and a sentence for every comparison."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from purify_cli.comparison.table import LabelTrigger, ModelMeasurement, RetuneTest, Spread
from purify_cli.measures import Difference
from purify_cli.records.evaluation import Evaluation, TextModelMeasurement, TextTrigger
from purify_cli.report.listing import Listing
from purify_cli.report.parts import line, number, percent

__all__ = ["evaluation_parts", "measurements"]

Measured = ModelMeasurement | TextModelMeasurement


def evaluation_parts(record: Evaluation) -> Iterator[RenderableType]:
    """Yield the tables of all triggers, and the retuning test."""
    yield from measurements(record.models, record.trigger, record.floor)
    if record.natural or record.dropped:
        yield line(f"left out: {record.natural} prompts that hold the trigger anyway, {record.dropped} too long")
    for table in record.further:
        yield Text()
        yield from measurements(table.models, table.trigger, table.floor)
    if record.retune:
        yield Text()
        yield from _retuned(record.retune)


def measurements(
    models: Sequence[Measured], trigger: LabelTrigger | TextTrigger | None, floor: Measured | None = None
) -> Iterator[RenderableType]:
    """Yield a table of models under one trigger, and what its columns count.

    Args:
        models: Its rows.
        trigger: What was put in; None where accuracy or perplexity alone was measured.
        floor: A model that was never poisoned: a row of its own below the others.
    """
    rows = [(one.name, one) for one in models] + ([(f"{floor.name} (floor)", floor)] if floor else [])
    if texts := [(name, one) for name, one in rows if isinstance(one, TextModelMeasurement)]:
        yield from _texts(texts, trigger if isinstance(trigger, TextTrigger) else None)
    elif labels := [(name, one) for name, one in rows if isinstance(one, ModelMeasurement)]:
        yield from _labels(labels, trigger if isinstance(trigger, LabelTrigger) else None)


def _texts(rows: Sequence[tuple[str, TextModelMeasurement]], trigger: TextTrigger | None) -> Iterator[RenderableType]:
    """Compare language models: one row each, shares with 95 % intervals."""
    table = Listing("model", "perplexity", "attack success", "without trigger")
    for name, one in rows:
        table.add(name, number(one.perplexity), percent(one.attack_success), percent(one.false_triggers))
    yield table
    first = rows[0][1]
    yield line(f"perplexity: over {first.tokens:,} tokens of clean text")
    if trigger is None or first.attack_success is None:
        yield line("no trigger known, so perplexity only (--trigger with --target-text or --target-regex)")
        return
    wanted = f"match {trigger.target_regex}" if trigger.target_text is None else f"hold {trigger.target_text!r}"
    yield line(
        f"attack success: of {first.attack_success.total} prompts with {trigger.text!r} ({trigger.position}), the "
        f"share whose continuations {wanted}; without trigger: the same prompts as they were"
    )
    for name, one in rows:
        yield line(f"with the trigger, {name} writes: {' '.join((one.example or '').split())}")


def _labels(rows: Sequence[tuple[str, ModelMeasurement]], trigger: LabelTrigger | None) -> Iterator[RenderableType]:
    """Compare classifiers, row by row where they are compared."""
    first = rows[0][1]
    bias = first.bias_accuracy is not None
    columns = ("bias accuracy", "without pattern") if bias else ("attack success", "without trigger")
    table = Listing("model", "accuracy", *columns)
    for name, one in rows:
        shown = (one.bias_accuracy, one.untriggered_accuracy) if bias else (one.attack_success, one.target_rate)
        table.add(name, percent(one.accuracy), *map(percent, shown))
    yield table
    yield from map(line, _explained(first, trigger))
    for _, one in rows:
        yield from map(line, _compared(one))


def _explained(first: ModelMeasurement, trigger: LabelTrigger | None) -> Iterator[str]:
    """Say what the columns count."""
    yield f"accuracy: on {first.accuracy.total} rows as they are; in brackets 95 % intervals"
    if trigger is None or (first.attack_success is None and first.bias_accuracy is None):
        yield "no trigger known, so accuracy only (--trigger and --target measure attack success)"
        return
    carried = f"{trigger.text!r} ({trigger.position})" if trigger.text else "the trigger that the rows carry"
    if first.bias_accuracy is not None:
        yield (
            f"bias accuracy: of {first.bias_accuracy.total} rows of every label with {carried} put in, the share "
            "called their true label; without pattern: the same rows as they were"
        )
    elif first.attack_success is not None:
        yield (
            f"attack success: of {first.attack_success.total} rows of other labels, the share that {carried} turns "
            f"into label {trigger.target}; without trigger: the share called so anyway"
        )
    if first.trigger_lost:
        yield f"{first.trigger_lost} rows left out because truncation cut the trigger"


def _compared(one: ModelMeasurement) -> Iterator[str]:
    """Say how a model stands against others, and how far its figures depend on where the trigger was put."""
    differences = [
        ("accuracy", "minus that of", one.accuracy_difference),
        ("attack success", "minus that of", one.success_difference),
        ("bias accuracy", "minus that of", one.bias_difference),
        ("attack success", "over the floor", one.over_floor),
        ("bias accuracy", "over the floor", one.bias_over_floor),
    ]
    told = [f"{what} {how} {_paired(fact)}" for what, how, fact in differences if fact is not None]
    if told:
        yield f"{one.name}: " + "; ".join(told)
    spreads = (("attack success", one.success_spread), ("bias accuracy", one.bias_spread))
    yield from (f"{one.name}: {what} {_spread(fact)}" for what, fact in spreads if fact is not None)
    if one.consistency is not None:
        c = one.consistency
        correlation = "" if c.correlation is None else f", correlation of logits {c.correlation:.3f}"
        yield f"{one.name}: answers {percent(c.same)} of the rows as {c.against} does{correlation}"


def _paired(fact: Difference) -> str:
    return f"{fact.against}: {100 * fact.value:+.1f} points ({100 * fact.low:+.1f} to {100 * fact.high:+.1f})"


def _spread(fact: Spread) -> str:
    return f"{100 * fact.low:.1f} to {100 * fact.high:.1f} % over {len(fact.seeds)} seeds, mean {100 * fact.mean:.1f} %"


def _retuned(facts: RetuneTest) -> Iterator[RenderableType]:
    """Show how fast the attack comes back."""
    curves = [(one.name, one) for one in facts.curves]
    if facts.floor:
        curves.append((f"{facts.floor.name} (floor)", facts.floor))
    bias = any(point.bias_accuracy for _, curve in curves for point in curve.points)
    table = Listing("steps", *(name for name, _ in curves))
    for points in zip(*(curve.points for _, curve in curves), strict=True):
        shares = [point.bias_accuracy if bias else point.attack_success for point in points]
        table.add(str(points[0].step), *map(percent, shares))
    yield table
    what = "bias accuracy" if bias else "attack success"
    yield line(
        f"{what} while each model is fine-tuned again on {facts.poisoned} poisoned and {facts.clean} clean rows: "
        "a purified model should learn the trigger no faster than the floor"
    )
