"""One model put to the test rows of a task, as a row of results holds it."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, final

from purify_cli.bench.grid import Suspect
from purify_cli.bench.rows import Files, TaskRows, read_as
from purify_cli.checkpoint import Checkpoint, open_checkpoint
from purify_cli.comparison.table import LabelTrigger
from purify_cli.data.triggers import Trigger
from purify_cli.errors import RunFolderError
from purify_cli.evaluation import Measurement, Question, ask, measure
from purify_cli.inputs.identity import ModelFacts
from purify_cli.inputs.opening import text_length
from purify_cli.measures.intervals import Proportion
from purify_cli.model import LoadedModel, label_set, load_classifier, load_tokenizer
from purify_cli.records.attack import AttackRecord
from purify_cli.requests.common import Common

__all__ = ["Examiner", "counts", "examiner", "suspect_result"]

BATCH: Final = 64
"""Rows per forward pass."""


def counts(share: Proportion | None) -> dict[str, int] | None:
    """Write a share down as its two counts."""
    return None if share is None else {"successes": share.successes, "total": share.total}


@final
@dataclass(frozen=True, slots=True)
class Examiner:
    """Puts the same question to every model of one suspect: the suspect, its twin, and all that is made of it."""

    question: Question
    reference: Checkpoint
    common: Common

    def examine(self, loaded: LoadedModel) -> dict[str, Any]:
        """Measure a classifier in memory."""
        compute = replace(self.common.compute, batch_size=BATCH)
        measured = measure(loaded.module, self.question, compute)
        return self._written(measured)

    def load(self, checkpoint: Checkpoint) -> LoadedModel:
        """Load a classifier from disk."""
        config = self.reference.config or {}
        return load_classifier(
            checkpoint, config=config, labels=label_set(checkpoint), device=self.common.compute.device
        )

    def _written(self, found: Measurement) -> dict[str, Any]:
        question, target = self.question, self.question.target
        labels = [row.label for row in question.clean]
        right = [given == label for given, label in zip(found.predictions, labels, strict=True)]
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


def examiner(
    suspect: Suspect, rows: TaskRows, record: AttackRecord, reference: Checkpoint, *, files: Files, common: Common
) -> Examiner:
    """Ask once for all models of a suspect: the test rows as they are, and with the attack's trigger.

    Raises:
        DataError: If the trigger cannot be measured on these rows.
    """
    fact = _label_trigger(record)
    carrying = None
    if suspect.attack.triggered is not None:
        carrying = read_as(rows.names, files.path(suspect.attack.triggered), suspect.task)
    question = ask(
        load_tokenizer(reference.files),
        rows.test,
        trigger=None if carrying is not None else Trigger(fact.text, fact.position),
        target=fact.target,
        max_length=text_length(reference, common),
        seed=suspect.seed,
        bias=fact.bias,
        carrying=carrying,
    )
    return Examiner(question, reference, common)


def suspect_result(twin: ModelFacts, facts: ModelFacts, record: AttackRecord, asking: Examiner) -> dict[str, Any]:
    """Measure the suspect and its clean twin, which is the floor, on the same inputs."""

    def measured(model: ModelFacts) -> dict[str, Any]:
        with open_checkpoint(model.path) as checkpoint:
            return asking.examine(asking.load(checkpoint))

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
