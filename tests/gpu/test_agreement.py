"""The CPU is the reference: curvature, mask and training on an accelerator agree with it within stated tolerances.

Summation order differs between devices, so bits differ. Curvature is a sum of squares, all positive, and may differ by
1e-3 relatively; a mask of the same scores is the same, and a mask of each device's own scores differs only where
scores are that close to the threshold; losses of a short training without dropout follow one curve.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

from purify_cli.curvature import diagonal_fisher
from purify_cli.data.batches import batches, encode
from purify_cli.selection.mask import build_mask
from purify_cli.tensors import InMemory
from purify_cli.training import TrainingSettings, train
from tests import tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

DEVICE = torch.device("cuda")


@pytest.fixture(autouse=True)
def full_float32() -> Iterator[None]:
    """TF32 keeps 10 bits of a product's factors, far fewer than the agreement that is asked for here."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def encoded(tiny_tokenizer: PreTrainedTokenizerFast):
    return encode(tiny_tokenizer, tiny.sentiment_examples(64, seed=50), max_length=tiny.MAX_LENGTH)


def suspect_on(folder: Path, device: torch.device) -> BertForSequenceClassification:
    model = BertForSequenceClassification.from_pretrained(
        folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    return model.eval().to(device)


def fisher_on(folder: Path, device: torch.device, encoded, kind) -> Mapping[str, Tensor]:
    model = suspect_on(folder, device)
    return diagonal_fisher(model, batches(encoded, batch_size=16, pad_id=0), kind=kind).tensors


@pytest.mark.parametrize("kind", ["empirical", "true"])
def test_curvature_agrees(tiny_suspect: Path, encoded, kind: str) -> None:
    here = fisher_on(tiny_suspect, torch.device("cpu"), encoded, kind)
    there = fisher_on(tiny_suspect, DEVICE, encoded, kind)
    assert here.keys() == there.keys()
    for name, expected in here.items():
        # Entries far below their tensor's scale are rounding alone (key biases under softmax).
        floor = 1e-6 * float(expected.mean())
        torch.testing.assert_close(there[name].cpu(), expected, rtol=1e-3, atol=max(floor, 1e-12), msg=name)


def test_masks_agree(tiny_suspect: Path, tiny_reference: Path, encoded) -> None:
    reference = BertModel.from_pretrained(tiny_reference).state_dict()
    suspect = suspect_on(tiny_suspect, torch.device("cpu")).bert.state_dict()

    def scores(device: torch.device) -> InMemory:
        curvature = fisher_on(tiny_suspect, device, encoded, "empirical")
        found = {}
        for name, values in suspect.items():
            h = curvature[f"bert.{name}"].cpu()
            found[name] = (values - reference[name]).square() / (h + h.mean() + 1e-12)
        return InMemory(found)

    here, there = scores(torch.device("cpu")), scores(DEVICE)
    masks = [build_mask(source, 0.3) for source in (here, there, there)]
    assert masks[0].count == masks[1].count
    assert all(torch.equal(masks[1].bits[name], masks[2].bits[name]) for name in masks[1].bits)
    same = sum(int((masks[0].read(name) == masks[1].read(name)).sum()) for name in suspect)
    assert same / masks[0].dimensions > 0.999


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-3), (torch.bfloat16, 0.05)], ids=str)
def test_training_follows_one_curve(tiny_clean: Path, encoded, dtype: torch.dtype, tolerance: float) -> None:
    curves = {}
    for device in (torch.device("cpu"), DEVICE):
        model = suspect_on(tiny_clean, device)
        torch.nn.init.zeros_(model.classifier.weight)
        settings = TrainingSettings(learning_rate=1e-4, steps=20, batch_size=16, dtype=dtype)
        curves[device.type] = train(model, encoded, settings, pad_id=0, device=device, validation=encoded)
    here, there = curves["cpu"], curves["cuda"]
    assert there.losses == pytest.approx(here.losses, abs=tolerance)
    assert there.validation[-1].loss == pytest.approx(here.validation[-1].loss, abs=tolerance)
    assert here.last_loss < here.first_loss


def test_the_device_s_random_state_is_left_alone(tiny_clean: Path, encoded) -> None:
    torch.cuda.manual_seed(7)
    expected = torch.rand(3, device=DEVICE)
    torch.cuda.manual_seed(7)
    model = BertForSequenceClassification.from_pretrained(tiny_clean)
    train(model, encoded, TrainingSettings(learning_rate=1e-4, steps=2, batch_size=16), pad_id=0, device=DEVICE)
    assert torch.equal(torch.rand(3, device=DEVICE), expected)
