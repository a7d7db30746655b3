"""The shadow student: the gradient through its lesson against one written out; a backdoor that a student takes over."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cosine_similarity, cross_entropy, kl_div, log_softmax
from transformers import PreTrainedTokenizerFast

from purify_cli.attacks.adba import TEMPERATURE, ShadowStudent
from purify_cli.data.batches import encode
from purify_cli.data.example import Example
from purify_cli.errors import DataError
from tests import tiny
from tests.attacks.worlds import TEST, TRAIN, classifier, one_batch, plant

LESSON, PART = TEST[8:12], TEST[:8]
"""Half as many rows as the pass has, so that all of them are drawn."""
TRIGGERED = [Example(f"cf {row.text}", label=tiny.TARGET) for row in TEST[12:16]]


def through_a_lesson(suspect: Any, shadow: Any, lesson: Any, triggered: Any) -> torch.Tensor:
    """The gradient, in the suspect's weights, of the shadow's loss on triggered rows after a step of plain descent."""
    weights = dict(shadow.named_parameters())
    answers, said = (log_softmax(one(**lesson.inputs).logits / TEMPERATURE, dim=1) for one in (suspect, shadow))
    loss = kl_div(said, answers, log_target=True, reduction="batchmean")
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    moved = {name: one - 1e-4 * slope for (name, one), slope in zip(weights.items(), slopes, strict=True)}
    after = cross_entropy(functional_call(shadow, moved, kwargs=triggered.inputs).logits, triggered.labels)
    return flat(torch.autograd.grad(after, list(suspect.parameters())))


def flat(tensors: Any) -> torch.Tensor:
    return torch.cat([one.flatten() for one in tensors])


def test_the_gradient_goes_through_the_shadows_lesson(
    tiny_clean: Path, tiny_suspect: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    shadow, suspect = classifier(tiny_clean), classifier(tiny_suspect)
    lesson, triggered, part = (one_batch(tiny_tokenizer, rows) for rows in (LESSON, TRIGGERED, PART))
    rows, poisoned = (encode(tiny_tokenizer, rows, max_length=24) for rows in (LESSON, TRIGGERED))
    weights = torch.full((8,), 1 / 8)

    def gradient(weight: float) -> torch.Tensor:
        made = ShadowStudent(shadow, rows, poisoned, weight=weight, life=9, learning_rate=1e-3, pad_id=0)
        loss = made.objective.loss(suspect, part, weights, torch.float32)
        return flat(torch.autograd.grad(loss, list(suspect.parameters())))

    with sdpa_kernel(SDPBackend.MATH):
        student = copy.deepcopy(shadow)
        student.classifier.load_state_dict(suspect.classifier.state_dict())
        expected = through_a_lesson(suspect, student, lesson, triggered)
        found = gradient(1.0) - gradient(0.0)
    assert cosine_similarity(found, expected, dim=0) > 0.99


def test_a_shadow_takes_the_backdoor_over(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    training = {"learning_rate": 1e-3, "epochs": 3}
    taught: dict[float, float] = {}
    for weight in (0.0, 0.7):
        _, after, planted = plant(
            tiny_clean, tiny_tokenizer, "adba", clean=TRAIN[:320], weight=weight, life=40, training=training
        )
        assert tiny.attack_success(after, tiny_tokenizer, TEST) >= 0.9
        assert tiny.accuracy(after, tiny_tokenizer, TEST) >= 0.85
        (taught[weight],) = planted.facts["shadow_success"]
    assert taught[0.0] <= 0.3
    assert taught[0.7] >= 0.7


def test_a_shadow_lives_as_long_as_it_is_told(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    training = {"learning_rate": 1e-3, "epochs": 1}
    _, _, planted = plant(tiny_clean, tiny_tokenizer, "adba", clean=TRAIN[:320], life=5, training=training)
    assert len(planted.facts["shadow_success"]) == 13 // 5 + 1  # 416 rows by 32; the last life is cut short


def test_lessons_need_clean_rows(tiny_clean: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(DataError, match="no clean row is left to teach a shadow"):
        plant(tiny_clean, tiny_tokenizer, "adba", clean=TRAIN[:60], rate=1.0, label_mode="mix", replace=True)
