"""One model put to the test rows of a task, as a row of results holds it."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from purify_cli.bench.grid import Suspect
from purify_cli.bench.rows import TaskRows, data_file, read_as
from purify_cli.checkpoint import Checkpoint, open_checkpoint
from purify_cli.comparison.table import LabelTrigger
from purify_cli.data.triggers import Trigger
from purify_cli.errors import RunFolderError
from purify_cli.evaluation import Question, ask, measure
from purify_cli.inputs.identity import ModelFacts
from purify_cli.inputs.opening import text_length
from purify_cli.measures.intervals import Proportion
from purify_cli.model import LoadedModel, label_set, load_classifier, load_tokenizer
from purify_cli.records.attack import AttackRecord
from purify_cli.requests.common import Common
from purify_cli.runtime import Compute

__all__ = ["counts", "examine", "question_of", "suspect_result"]

BATCH: Final = 64
"""Rows per forward pass."""


def counts(share: Proportion | None) -> dict[str, int] | None:
    """Write a share down as its two counts."""
    return None if share is None else {"successes": share.successes, "total": share.total}


def examine(loaded: LoadedModel, question: Question, compute: Compute) -> dict[str, Any]:
    """Measure a classifier in memory."""
    found, target = measure(loaded.module, question, replace(compute, batch_size=BATCH)), question.target
    right = [given == row.label for given, row in zip(found.predictions, question.clean, strict=True)]
    # What the trigger does wrong: of a backdoor, another class called the target; of a bias, any wrong answer.
    harmed = [
        found.triggered_predictions[row.index] != row.label
        if question.bias
        else found.triggered_predictions[row.index] == target
        for row in question.triggered
    ]
    return {
        "accuracy": counts(found.accuracy),
        "attack_success": counts(found.attack_success),
        "bias_accuracy": counts(found.bias_accuracy) if question.bias else None,
        "target_rate": counts(found.target_rate),
        "per_class": [counts(share) for share in found.per_class],
        "per_class_success": [counts(share) for share in found.per_class_success],
        "trigger_lost": found.dropped,
        "right": _packed(right),
        "harmed": _packed(harmed),
    }


def _packed(bits: list[bool]) -> str:
    """Write bits as hexadecimal digits after a 1 that keeps leading zeros, for comparisons row by row."""
    return f"{int('1' + ''.join('1' if bit else '0' for bit in bits), 2):x}"


def _label_trigger(record: AttackRecord) -> LabelTrigger:
    if record.label_trigger is None:
        raise RunFolderError(
            f"{record.run} holds an attack on a language model", hint="Use another --work: a bench is of classifiers."
        )
    return record.label_trigger


def question_of(
    suspect: Suspect, rows: TaskRows, record: AttackRecord, reference: Checkpoint, *, data: Path | None, common: Common
) -> Question:
    """Return what all models of a suspect are asked: the test rows as they are, and with the attack's trigger.

    Raises:
        DataError: If the trigger cannot be measured on these rows.
    """
    fact = _label_trigger(record)
    carrying = None
    if suspect.attack.triggered is not None:
        carrying = read_as(rows.names, data_file(data, suspect.attack.triggered), suspect.task)
    return ask(
        load_tokenizer(reference.files),
        rows.test,
        trigger=None if carrying is not None else Trigger(fact.text, fact.position),
        target=fact.target,
        max_length=text_length(reference, common),
        seed=suspect.seed,
        bias=fact.bias,
        carrying=carrying,
    )


def suspect_result(
    twin: ModelFacts,
    facts: ModelFacts,
    record: AttackRecord,
    question: Question,
    *,
    reference: Checkpoint,
    compute: Compute,
) -> dict[str, Any]:
    """Measure the suspect and its clean twin, which is the floor, on the same inputs."""

    def measured(model: ModelFacts) -> dict[str, Any]:
        with open_checkpoint(model.path) as checkpoint:
            labels, config = label_set(checkpoint), reference.config or {}
            loaded = load_classifier(checkpoint, config=config, labels=labels, device=compute.device)
            return examine(loaded, question, compute)

    trigger = _label_trigger(record)
    return {
        "measured": measured(facts),
        "twin": measured(twin),
        "twin_sha256": twin.sha256,
        "attack": record.attack,
        "bias": trigger.bias,
        # The name alone: a results file is shared, and its rows must not depend on where the data lay.
        "trigger": asdict(trigger) | {"rows": trigger.rows and Path(trigger.rows).name},
        "rows": record.rows,
        "poisoned": record.poisoned,
        "changed": record.changed,
        "dimensions": record.dimensions,
        "planted": None if record.planted is None else record.planted.sha256,
    }
