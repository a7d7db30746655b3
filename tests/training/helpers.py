"""A classifier and rows small enough to train a hundred times."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

from purify_cli.data.batches import Encoded
from purify_cli.training import TrainingSettings

T = TypeVar("T")


class Killed(Exception):
    """What stands for a kill."""


class KillAfter:
    """A progress that ends the run after so many steps, and remembers what was said."""

    def __init__(self, steps: int | None) -> None:
        self.left = steps
        self.notes: list[str] = []
        self.totals: list[int | None] = []

    def track(self, items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
        del what
        self.totals.append(total)
        for item in items:
            if self.left == 0:
                raise Killed
            self.left = None if self.left is None else self.left - 1
            yield item

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def small_model(seed: int = 0, **changes: Any) -> BertForSequenceClassification:
    """One layer of width 16 over 50 words, lively from the start; with dropout unless told otherwise."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 16,
        "initializer_range": 0.3,
        "num_labels": 2,
    }
    return BertForSequenceClassification(BertConfig(**(settings | changes))).eval()


def without_dropout(seed: int = 0) -> BertForSequenceClassification:
    return small_model(seed, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def rows(count: int, seed: int = 0, *, length: tuple[int, int] = (4, 12)) -> list[Encoded]:
    """Rows of random words below 40; the label says whether word 5 or word 6 is among them."""
    random = Random(seed)
    made = []
    for index in range(count):
        label = index % 2
        ids = [random.randrange(7, 40) for _ in range(random.randint(*length))]
        ids[random.randrange(len(ids))] = 5 + label
        made.append(Encoded((2, *ids, 3), None, label, index))
    return made


def settings(**changes: Any) -> TrainingSettings:
    made: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 8, "seed": 3}
    if "epochs" not in changes:
        made["steps"] = 6
    return TrainingSettings(**(made | changes))


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def largest_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Largest difference of two entries, key biases aside.

    Softmax does not notice a key bias: its gradient is rounding alone, which Adam scales up to full steps.
    """
    return max(float((first[name] - second[name]).abs().max()) for name in first if not name.endswith("key.bias"))


def mean_loss(module: torch.nn.Module, encoded: Sequence[Encoded]) -> float:
    """One row at a time, without padding: the plainest way to say it."""
    losses = []
    with torch.no_grad():
        for row in encoded:
            scores = module(input_ids=torch.tensor([row.ids])).logits
            losses.append(float(-scores.log_softmax(-1)[0, row.label]))
    return sum(losses) / len(losses)
