from pathlib import Path

import pytest
import torch

from purify_cli.checkpoint import (
    CheckpointPair,
    nonfinite_entries,
    open_checkpoint,
    pair_checkpoints,
    without_nonfinite,
)
from purify_cli.errors import NonFiniteWeights
from purify_cli.tensors import InMemory, chunks
from tests.checkpoint.shapes import bert, classifier, folder

NAN, INF = float("nan"), float("inf")
QUERY = "bert.encoder.layer.0.attention.self.query.weight"
WORDS = "bert.embeddings.word_embeddings.weight"


def broken(
    tmp_path: Path, where: dict[str, list[int]], dtype: torch.dtype = torch.float32, reference_too: bool = False
) -> CheckpointPair:
    tensors = {name: tensor.to(dtype) for name, tensor in classifier(vocabulary=33).items()}
    for name, places in where.items():
        for at, place in enumerate(places):
            tensors[name].view(-1)[place] = (NAN, INF, -INF)[at % 3]
    reference = bert(seed=1)
    if reference_too:
        reference["embeddings.LayerNorm.bias"][0] = INF
    ours, theirs = folder(tmp_path / "s", tensors), folder(tmp_path / "r", reference)
    return pair_checkpoints(open_checkpoint(str(ours)), open_checkpoint(str(theirs)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_they_are_counted(dtype: torch.dtype, tmp_path: Path) -> None:
    found = broken(tmp_path, {QUERY: [0, 63], WORDS: [5]}, dtype)
    assert nonfinite_entries(found.suspect) == {QUERY: 2, WORDS: 1}
    assert nonfinite_entries(found.reference) == {}


def test_types_without_infinity_or_fraction_are_looked_at_too() -> None:
    source = InMemory({"a": torch.tensor([1.0, NAN]).to(torch.float8_e4m3fn), "b": torch.arange(3), "c": torch.ones(0)})
    assert nonfinite_entries(source) == {"a": 1}


@pytest.mark.parametrize("size", [5, 1 << 20])
def test_they_read_as_the_reference_s(size: int, tmp_path: Path) -> None:
    bad = {QUERY: [0, 7, 63], WORDS: [5, 239]}
    before = broken(tmp_path, bad)
    after = without_nonfinite(before)
    assert nonfinite_entries(after.suspect) == {}
    assert after.comparables == before.comparables
    for name, start, chunk in chunks(after.suspect, size=size):
        expected = before.suspect.read(name, start, start + len(chunk))
        for place in bad.get(name, []):
            if start <= place < start + len(chunk):
                expected[place - start] = before.reference_part.read(name, place, place + 1)[0]
        assert torch.equal(chunk, expected)
    assert nonfinite_entries(after.suspect_part) == {}


@pytest.mark.parametrize(
    ("where", "reference_too"),
    [({"classifier.weight": [3]}, False), ({WORDS: [240]}, False), ({QUERY: [0]}, True)],
    ids=["in the head", "in an added row", "in the reference"],
)
def test_without_a_counterpart_they_are_refused(
    where: dict[str, list[int]], reference_too: bool, tmp_path: Path
) -> None:
    with pytest.raises(NonFiniteWeights):
        without_nonfinite(broken(tmp_path, where, reference_too=reference_too))


def test_second_copies_are_mended_alike(tmp_path: Path) -> None:
    tensors = bert(prefix="bert.")
    tensors[WORDS][0, 0] = NAN
    tensors["cls.predictions.decoder.weight"] = tensors[WORDS].clone()
    ours, theirs = folder(tmp_path / "s", tensors), folder(tmp_path / "r", bert(seed=1))
    found = without_nonfinite(pair_checkpoints(open_checkpoint(str(ours)), open_checkpoint(str(theirs))))
    assert found.tied
    assert torch.equal(found.suspect.read(WORDS), found.suspect.read("cls.predictions.decoder.weight"))
    assert found.suspect.read(WORDS)[0] == bert(seed=1)["embeddings.word_embeddings.weight"][0, 0]


@pytest.mark.parametrize(
    ("number", "dtype"), [(1e300, torch.float64), (-3.4e38, torch.float32), (2e12, torch.bfloat16)]
)
def test_numbers_out_of_all_range_count_as_infinite(number: float, dtype: torch.dtype) -> None:
    source = InMemory({"a": torch.tensor([1.0, number, 9e11], dtype=dtype)})
    assert nonfinite_entries(source) == {"a": 1}


def test_half_precision_has_nothing_out_of_range() -> None:
    assert nonfinite_entries(InMemory({"a": torch.tensor([65504.0, -65504.0], dtype=torch.float16)})) == {}
