"""Repairs of the census's models: what the tool chooses, and the published methods, on equal terms."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from census_models import Model

import purify_cli
from purify_cli.comparison.table import ModelMeasurement

__all__ = ["RATIOS", "repaired"]

RATIOS: Final = {
    "plain fine-tuning": ("fine-purifying", 0.0),
    "auto": ("auto", 0.1),
    "fine-purifying 0.1": ("fine-purifying", 0.1),
    "fine-purifying 0.5": ("fine-purifying", 0.5),
    "fine-mixing 0.1": ("fine-mixing", 0.1),
    "fine-mixing 0.5": ("fine-mixing", 0.5),
}
"""Name → method and ratio."""

MEASURED: Final = ("accuracy", "attack_success", "bias_accuracy", "target_rate")


def repaired(
    model: Model,
    reference: str,
    work: Path,
    found: Path,
    *,
    shared: dict[str, Any],
    training: dict[str, Any],
    unlabelled: Path | None = None,
    only: Collection[str] = (),
) -> dict[str, Any]:
    """Repair a suspect in every way after its search, and measure what comes of it.

    Args:
        model: A poisoned one, made and searched.
        reference: Its own.
        work: Folder of the census.
        found: Run folder of the search.
        shared: Options of all commands.
        training: Those of the attacker's training, for a twin that was never poisoned.
        unlabelled: Texts without labels, given to every repair.
        only: Names of ``RATIOS``; none, and all are done.
    """
    suspect = work / model.name / "suspect"
    texts = {} if unlabelled is None else {"unlabelled": unlabelled}
    made: dict[str, Path] = {}
    methods: dict[str, str] = {}
    for name, (method, ratio) in RATIOS.items():
        if only and name not in only:
            continue
        record = purify_cli.purify(  # no suspect named: what the search in the run folder found is taken up
            run=found,
            clean_data=work / "data" / f"{model.name}-clean.jsonl",
            method=method,
            ratio=ratio,
            output=work / f"{model.name}-{name.replace(' ', '-')}",
            overwrite=True,
            batch_size=32,
            **texts,
            **shared,
        )
        made[name], methods[name] = Path(record.output.path), ",".join(stage.method for stage in record.stages)
    twin = purify_cli.finetune(
        reference,
        data=work / "data" / f"{model.name}.jsonl",
        batch_size=32,
        run=work / f"{model.name}-twin",
        overwrite=True,
        **training,
    )
    shown = work / "data" / f"{model.name}-triggered.jsonl"
    asked = {"triggered": shown, "target": str(model.target)} if shown.is_file() else {}
    measured = purify_cli.evaluate(
        [suspect, *made.values()],
        reference=reference,
        data=work / "data" / f"{model.task}-test.jsonl",
        run=work / model.name,
        floor=twin.output.path,
        bias=(model.kind or "").startswith("bias"),
        **asked,
        **shared,
    )
    facts = [one for one in (*measured.models, measured.floor) if isinstance(one, ModelMeasurement)]
    names = ("suspect", *made, "twin")
    return {
        name: {"method": methods.get(name), **{key: _counts(getattr(fact, key)) for key in MEASURED}}
        for name, fact in zip(names, facts, strict=True)
    }


def _counts(fact: Any) -> dict[str, int] | None:
    return None if fact is None else {"successes": fact.successes, "total": fact.total}
