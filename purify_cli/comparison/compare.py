"""Models side by side: their answers to the same questions, compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from purify_cli.comparison.paired import bias_outcomes, outcomes, paired, spread, success_outcomes
from purify_cli.comparison.retune import RetuneChoice
from purify_cli.comparison.run import Answers, EvaluationPlan
from purify_cli.comparison.table import ModelMeasurement, RetuneCurve, RetunePoint, RetuneTest, TriggerTable
from purify_cli.data.loading import examples_sha256
from purify_cli.evaluation import Question
from purify_cli.measures import Difference, consistency
from purify_cli.requests.common import Common

__all__ = ["compare", "retune_test"]


def compare(asked: EvaluationPlan, answers: Sequence[Answers], seed: int) -> list[TriggerTable]:
    """Turn answers into facts, one table per trigger (one in all without a trigger).

    Args:
        asked: What was asked.
        answers: Of all models, the one of the floor, and the one to be consistent with, in any order.
        seed: Of the bootstrap.
    """
    models = [one for one in answers if one.subject.role == "model"]
    floor = next((one for one in answers if one.subject.role == "floor"), None)
    against = next((one for one in answers if one.subject.role == "against"), models[0])
    tables: list[TriggerTable] = []
    for number in range(max(1, len(asked.choices))):
        table = _Table(asked, number, seed)
        facts = [table.facts(one, first=models[0], floor=floor, against=against) for one in models]
        below = table.facts(floor, first=floor, floor=None, against=floor) if floor else None
        fact = asked.choices[number].fact(asked.targets[number]) if asked.choices else None
        tables.append(TriggerTable(fact, tuple(facts), below))
    return tables


@final
@dataclass(frozen=True, slots=True)
class _Table:
    """The answers under one trigger, or without one."""

    asked: EvaluationPlan
    number: int
    seed: int

    def facts(self, one: Answers, *, first: Answers, floor: Answers | None, against: Answers) -> ModelMeasurement:
        """Write down one model, compared with the first, the floor, and the one to be consistent with."""
        number, seed = self.number, self.seed
        measured = one.measured[number]
        question = _question(self.asked, one, number)
        made = ModelMeasurement.of(one.subject.name, one.model, measured)
        success, bias = spread(self.asked.seeds, measured, one.others[number])
        changes: dict[str, Any] = {"success_spread": success, "bias_spread": bias}
        plain = outcomes(measured, question)
        if measured.untriggered_accuracy is not None:
            carried = bias_outcomes(measured.triggered_predictions, question)
            changes["bias_gap"] = paired(plain, carried, against=one.subject.name, seed=seed)
        if one is not first:
            other = outcomes(first.measured[number], _question(self.asked, first, number))
            changes["accuracy_difference"] = paired(plain, other, against=first.subject.name, seed=seed)
            changes["success_difference"], changes["bias_difference"] = self._differences(one, first)
        if floor is not None:
            changes["over_floor"], changes["bias_over_floor"] = self._differences(one, floor)
        logits, its = measured.logits, against.measured[0].logits
        if one is not against and logits is not None and its is not None:
            changes["consistency"] = consistency(logits, its, against=against.subject.name, seed=seed)
        return replace(made, **changes)

    def _differences(self, one: Answers, other: Answers) -> tuple[Difference | None, Difference | None]:
        """Compare two models on the rows that carry the trigger: attack success and, of a bias, accuracy."""
        pair = [
            (a.measured[self.number].triggered_predictions, _question(self.asked, a, self.number)) for a in (one, other)
        ]
        if not all(predictions for predictions, _ in pair):
            return None, None
        name = other.subject.name
        success = paired(*(success_outcomes(*part) for part in pair), against=name, seed=self.seed)
        if not self.asked.choices[self.number].bias:
            return success, None
        return success, paired(*(bias_outcomes(*part) for part in pair), against=name, seed=self.seed)


def _question(asked: EvaluationPlan, one: Answers, number: int) -> Question:
    return asked.questions[one.subject.tokens][number][0]


def retune_test(
    choice: RetuneChoice, source: str, asked: EvaluationPlan, answers: Sequence[Answers], common: Common
) -> RetuneTest:
    """Write down how fast the attack came back to every model.

    Args:
        choice: What was asked for.
        source: Where the rows come from.
        asked: Its first trigger is the one that was taught.
        answers: With curves.
        common: For seed and dtype.
    """
    floor = next((one for one in answers if one.subject.role == "floor"), None)

    def curve(one: Answers) -> RetuneCurve:
        training = one.training
        return RetuneCurve(
            name=one.subject.name,
            points=tuple(_point(one, floor, step, asked, common.compute.seed) for step in sorted(one.curve)),
            first_loss=training.first_loss if training else 0.0,
            last_loss=training.last_loss if training else 0.0,
        )

    return RetuneTest(
        poisoned=choice.rows,
        clean=choice.rows,
        source=source,
        rows_sha256=examples_sha256(asked.training),
        trigger=asked.choices[0].fact(asked.targets[0]),
        training=choice.settings(seed=common.compute.seed, dtype=common.compute.dtype).as_record(),
        measured=len(asked.rows),
        curves=tuple(curve(one) for one in answers if one.subject.role == "model"),
        floor=curve(floor) if floor else None,
    )


def _point(one: Answers, floor: Answers | None, step: int, asked: EvaluationPlan, seed: int) -> RetunePoint:
    measured, over = one.curve[step], None
    if floor is not None and floor is not one:
        mine = success_outcomes(measured.triggered_predictions, _question(asked, one, 0))
        its = success_outcomes(floor.curve[step].triggered_predictions, _question(asked, floor, 0))
        over = paired(mine, its, against=floor.subject.name, seed=seed)
    return RetunePoint(
        step=step,
        accuracy=measured.accuracy,
        attack_success=measured.attack_success,
        bias_accuracy=measured.bias_accuracy,
        over_floor=over,
    )
