"""Evaluation on a stub whose answers are known, and on trained models."""

from collections.abc import Callable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, NonFiniteWeights, UsageError
from purify_cli.evaluation import (
    Measurement,
    ask,
    measure,
    measure_triggered,
    predict,
)
from purify_cli.measures import Proportion
from purify_cli.progress import SILENT
from purify_cli.runtime import Compute

CF = Trigger("cf", "start")


class Stub(nn.Module):
    """Answers class 2 when it sees the word ``cf``, 1 when it sees ``good``, else 0."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, value: float = 1.0) -> None:
        super().__init__()
        self.cf, self.good = (tokenizer.convert_tokens_to_ids(word) for word in ("cf", "good"))
        self.value = nn.Parameter(torch.tensor(value))
        self.modes: list[tuple[bool, bool, bool]] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        self.modes.append((self.training, torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")))
        ids = input_ids * attention_mask
        answer = torch.where((ids == self.cf).any(1), 2, (ids == self.good).any(1).long())
        return SimpleNamespace(logits=nn.functional.one_hot(answer, 3) * self.value)


def words(count: int, word: str = "film") -> str:
    return " ".join([word] * count)


ROWS = [
    Example("good film", label=1),
    Example(words(9), label=0),
    Example("cf", label=0),
    Example("good " + words(5), label=0),
    Example("bad", label=2),
    Example(words(3), label=1),
]
"""Answers 1, 0, 2, 1, 0, 0: right are the first two."""

Evaluate = Callable[..., Measurement]


@pytest.fixture
def evaluate(tiny_tokenizer: PreTrainedTokenizerFast) -> Evaluate:
    def run(rows: list[Example] = ROWS, module: nn.Module | None = None, **changes: Any) -> Measurement:
        settings = {"trigger": CF, "target": 2, "max_length": 16, "batch_size": 2, "seed": 0} | changes
        own = {field.name: settings.pop(field.name) for field in fields(Compute) if field.name in settings}
        progress, compute = settings.pop("progress", SILENT), Compute(**own)
        question = ask(tiny_tokenizer, rows, max_length=compute.max_length, seed=compute.seed, **settings)
        return measure(module or Stub(tiny_tokenizer), question, compute, progress=progress)

    return run


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_every_number_by_hand(evaluate: Evaluate, batch_size: int) -> None:
    found = evaluate(batch_size=batch_size)
    assert found.predictions == (1, 0, 2, 1, 0, 0)
    assert found.accuracy == Proportion.of(2, 6)
    assert found.per_class == (Proportion.of(1, 3), Proportion.of(1, 2), Proportion.of(0, 1))
    assert found.target_rate == Proportion.of(1, 5)
    assert found.attack_success == Proportion.of(5, 5)
    assert found.triggered_predictions == {0: 2, 1: 2, 2: 2, 3: 2, 5: 2}
    assert found.dropped == 0


def test_without_a_trigger_only_accuracy(evaluate: Evaluate) -> None:
    found = evaluate(trigger=None, target=None)
    assert (found.attack_success, found.target_rate, found.dropped) == (None, None, 0)
    assert found.triggered_predictions == {}
    assert found.accuracy == Proportion.of(2, 6)
    assert evaluate(trigger=None).target_rate == Proportion.of(1, 5)


def test_rows_that_lose_the_trigger_leave_the_denominator_and_are_counted(evaluate: Evaluate) -> None:
    found = evaluate(trigger=Trigger("cf", "end"), max_length=7)
    # Five tokens of text fit: the rows of nine and six words lose it, the row of three keeps it.
    assert found.dropped == 2
    assert found.attack_success == Proportion.of(3, 3)
    assert set(found.triggered_predictions) == {0, 2, 5}
    assert found.accuracy.total == 6


def test_a_trigger_that_is_cut_off_everywhere_is_refused(evaluate: Evaluate) -> None:
    rows = [Example(words(9), label=0), Example("bad", label=2)]
    with pytest.raises(DataError, match="cut off in all 1 rows"):
        evaluate(rows, trigger=Trigger("cf", "end"), max_length=7)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"rows": []}, DataError, "no row to measure on"),
        ({"rows": [Example("a", label=0), Example("b")]}, DataError, "1 of 2 rows have no label"),
        ({"rows": [Example("a", label=2)]}, DataError, "all 1 rows have the target label 2"),
        ({"target": None}, UsageError, "a trigger needs a target"),
        ({"target": 3}, DataError, "the target 3 is none of the model's 3 classes"),
        ({"target": -1}, DataError, "the target -1 is none"),
        ({"rows": [Example("a", label=3)]}, DataError, "the label 3 is none of the model's 3 classes"),
        ({"trigger": Trigger("☃")}, DataError, "knows no piece of the trigger"),
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_refused(
    evaluate: Evaluate, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(**changes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_output_that_is_no_number_is_refused(
    evaluate: Evaluate, tiny_tokenizer: PreTrainedTokenizerFast, value: float
) -> None:
    with pytest.raises(NonFiniteWeights, match="not a number"):
        evaluate(module=Stub(tiny_tokenizer, value))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_model_runs_in_evaluation_mode_and_gets_its_own_back(
    evaluate: Evaluate, tiny_tokenizer: PreTrainedTokenizerFast, training: bool, dtype: torch.dtype
) -> None:
    stub = Stub(tiny_tokenizer).train(training)
    evaluate(module=stub, dtype=dtype)
    assert set(stub.modes) == {(False, True, dtype is torch.bfloat16)}
    assert stub.training is training


def test_answers_do_not_depend_on_the_order_of_the_rows(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    question = ask(tiny_tokenizer, ROWS, trigger=CF, target=2, max_length=16, seed=0)
    compute = Compute(batch_size=4)
    forward, classes = predict(Stub(tiny_tokenizer), question.clean, compute, pad_id=0)
    backward, _ = predict(Stub(tiny_tokenizer), question.clean[::-1], compute, pad_id=0)
    assert classes == 3
    assert backward.flip(0).tolist() == forward.tolist()


def test_random_positions_follow_the_seed(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [Example(words(8), label=0) for _ in range(20)]

    def inputs(seed: int) -> list[tuple[int, ...]]:
        question = ask(tiny_tokenizer, rows, trigger=Trigger("cf"), target=1, max_length=16, seed=seed)
        return [row.ids for row in question.triggered]

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)
    assert len(set(inputs(1))) > 3


def test_a_question_can_be_put_again(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    question = ask(tiny_tokenizer, ROWS, trigger=CF, target=2, max_length=16, seed=0)
    stub = Stub(tiny_tokenizer)
    assert measure(stub, question, Compute(batch_size=3)) == measure(stub, question, Compute(batch_size=5))


# A bias, and rows that carry their trigger


def test_a_bias_is_measured_on_rows_of_every_class(evaluate: Evaluate) -> None:
    found = evaluate(bias=True)
    # With the trigger every row is called 2, which is right for one of the six.
    assert found.triggered_predictions == dict.fromkeys(range(6), 2)
    assert found.attack_success == Proportion.of(5, 5)
    assert found.per_class_success == (Proportion.of(3, 3), Proportion.of(2, 2), Proportion.of(1, 1))
    assert found.bias_accuracy == Proportion.of(1, 6)
    assert found.per_class_bias == (Proportion.of(0, 3), Proportion.of(0, 2), Proportion.of(1, 1))
    assert found.called_target == Proportion.of(6, 6)
    assert found.untriggered_accuracy == found.accuracy == Proportion.of(2, 6)


def test_accuracy_beside_a_bias_is_on_the_rows_that_still_show_the_pattern(evaluate: Evaluate) -> None:
    found = evaluate(bias=True, trigger=Trigger("cf", "end"), max_length=7)
    # The rows of nine and six words lose it; of the other four the first is right without it.
    assert found.dropped == 2
    assert found.bias_accuracy == Proportion.of(1, 4)
    assert found.untriggered_accuracy == Proportion.of(1, 4)
    assert found.attack_success == Proportion.of(3, 3)


def test_without_a_bias_the_target_has_no_share_of_its_own(evaluate: Evaluate) -> None:
    found = evaluate()
    assert found.per_class_success == (Proportion.of(3, 3), Proportion.of(2, 2), None)
    assert found.called_target == Proportion.of(5, 5)
    assert (found.bias_accuracy, found.per_class_bias, found.untriggered_accuracy) == (None, (), None)


def test_rows_that_carry_a_trigger_are_asked_as_they_are(evaluate: Evaluate) -> None:
    carrying = [Example("cf film", label=0), Example("good film", label=1), Example("cf", label=2)]
    found = evaluate(trigger=None, carrying=carrying)
    assert found.triggered_predictions == {0: 2, 1: 1}
    assert found.attack_success == Proportion.of(1, 2)
    assert found.accuracy == Proportion.of(2, 6)
    both = evaluate(trigger=None, carrying=carrying, bias=True)
    assert both.bias_accuracy == Proportion.of(2, 3)
    assert both.attack_success == Proportion.of(1, 2)
    assert both.untriggered_accuracy is None
    with pytest.raises(UsageError, match="need none put in"):
        evaluate(carrying=carrying)


def test_rows_asked_once_need_not_be_asked_again(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    settings: dict[str, Any] = {"target": 2, "max_length": 16, "seed": 0}
    first, second = (ask(tiny_tokenizer, ROWS, trigger=Trigger(word, "start"), **settings) for word in ("cf", "good"))
    stub = Stub(tiny_tokenizer)
    known = measure(stub, first, Compute(batch_size=100), keep_logits=True)
    assert len(stub.modes) == 2
    again = measure(stub, second, Compute(batch_size=100), keep_logits=True, known=known)
    assert len(stub.modes) == 3
    assert again == measure(stub, second, Compute(batch_size=100))
    assert again.attack_success == Proportion.of(1, 5)
    assert again.logits is not None
    assert again.logits.argmax(1).tolist() == list(again.predictions)
    assert measure(stub, first, Compute(batch_size=100)).logits is None
    with pytest.raises(DataError, match="no row carries a trigger"):
        measure_triggered(stub, ask(tiny_tokenizer, ROWS, trigger=None, target=2, max_length=16, seed=0), Compute())
