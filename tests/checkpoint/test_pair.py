from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purify_cli.checkpoint import CheckpointPair, Skipped, open_checkpoint, pair_checkpoints
from purify_cli.errors import CheckpointError, PairError
from purify_cli.tensors import chunks, read_tensor, total_entries
from tests.checkpoint.shapes import CONFIG, bert, classifier, folder

WORDS = "embeddings.word_embeddings.weight"


def pair(
    tmp_path: Path,
    suspect: Mapping[str, Tensor],
    reference: Mapping[str, Tensor],
    configs: tuple[dict[str, Any] | None, dict[str, Any] | None] = (None, None),
    shards: int = 1,
) -> CheckpointPair:
    ours = folder(tmp_path / "suspect", suspect, config=configs[0], shards=shards)
    theirs = folder(tmp_path / "reference", reference, config=configs[1])
    return pair_checkpoints(open_checkpoint(str(ours)), open_checkpoint(str(theirs)))


def skipped(found: CheckpointPair) -> dict[tuple[str, str], Skipped]:
    return {(one.side, one.name): one for one in found.skipped}


def test_a_classifier_meets_its_bare_model(tmp_path: Path) -> None:
    body = bert(seed=1)
    found = pair(tmp_path, classifier(seed=2), body)
    assert [one.reference_name for one in found.comparables.values()] == [name for name in sorted(body)]
    assert found.dimensions == sum(tensor.numel() for tensor in body.values())
    assert found.dimensions == total_entries(found.suspect_part) == total_entries(found.reference_part)
    assert {(one.name, one.kind, one.explained, one.entries) for one in found.skipped} == {
        ("classifier.weight", "head", True, 16),
        ("classifier.bias", "head", True, 2),
    }
    for name, one in found.comparables.items():
        assert torch.equal(read_tensor(found.reference_part, name), body[one.reference_name])
        assert torch.equal(read_tensor(found.suspect_part, name), classifier(seed=2)[name])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_untouched_entries_have_no_drift_whatever_the_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    body = bert()
    found = pair(tmp_path, {name: tensor.to(dtype) for name, tensor in body.items()}, body)
    for name in found.comparables:
        ours, theirs = found.suspect_part.read(name), found.reference_part.read(name)
        assert ours.dtype == theirs.dtype == dtype
        assert torch.equal(ours.view(torch.uint8), theirs.view(torch.uint8))


def test_shards_change_nothing(tmp_path: Path) -> None:
    whole = pair(tmp_path / "a", classifier(), bert(seed=1))
    parts = pair(tmp_path / "b", classifier(), bert(seed=1), shards=4)
    assert parts.comparables.keys() == whole.comparables.keys()
    assert parts.dimensions == whole.dimensions


@pytest.mark.parametrize(("ours", "theirs"), [(33, 30), (30, 33)])
def test_a_resized_vocabulary_is_compared_on_common_rows(ours: int, theirs: int, tmp_path: Path) -> None:
    suspect, reference = bert(vocabulary=ours), bert(vocabulary=theirs, seed=1)
    found = pair(tmp_path, suspect, reference)
    one = found.comparables[WORDS]
    assert (one.shape, found.suspect.specs[WORDS].shape) == ((30, 8), (ours, 8))
    assert torch.equal(read_tensor(found.suspect_part, WORDS), suspect[WORDS][:30])
    assert torch.equal(read_tensor(found.reference_part, WORDS), reference[WORDS][:30])
    assert sum(chunk.numel() for _, _, chunk in chunks(found.suspect_part, size=17)) == found.dimensions
    (rows,) = found.skipped
    assert (rows.kind, rows.entries, rows.explained) == ("rows", 24, True)
    assert rows.side == ("suspect" if ours > theirs else "reference")


def test_legacy_spellings_meet(tmp_path: Path) -> None:
    old = {n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
           for n, t in bert().items()}  # fmt: skip
    found = pair(tmp_path, bert(), old)
    assert len(found.comparables) == len(old)
    assert not found.skipped


def test_left_overs_have_reasons(tmp_path: Path) -> None:
    suspect = classifier() | {
        "bert.encoder.layer.0.adapter.weight": torch.ones(3, 3),
        "bert.embeddings.position_ids": torch.arange(16)[None],
        "bert.pooler.dense.weight": torch.ones(8, 8),
        "bert.encoder.layer.1.intermediate.dense.weight": torch.ones(4, 8),
        "bert.encoder.layer.1.scale": torch.ones(16, dtype=torch.int8),
        "bert.hidden.numbers": torch.arange(3),
    }
    reference = bert() | {
        "encoder.layer.1.scale": torch.ones(16),
        "encoder.layer.2.output.dense.weight": torch.ones(8, 8),
        "cls.seq_relationship.weight": torch.ones(2, 8),
    }
    found = skipped(pair(tmp_path, suspect, reference))
    kinds = {name: (one.kind, one.explained) for (_, name), one in found.items()}
    assert kinds == {
        "classifier.weight": ("head", True),
        "classifier.bias": ("head", True),
        "bert.encoder.layer.0.adapter.weight": ("extra", False),
        "bert.embeddings.position_ids": ("buffer", True),
        "bert.pooler.dense.weight": ("head", True),
        "bert.encoder.layer.1.intermediate.dense.weight": ("shape", False),
        "bert.encoder.layer.1.scale": ("shape", False),
        "bert.hidden.numbers": ("extra", False),
        "encoder.layer.2.output.dense.weight": ("missing", False),
        "cls.seq_relationship.weight": ("head", True),
    }
    assert all(one.reason for one in found.values())


def test_every_entry_is_compared_or_skipped(tmp_path: Path) -> None:
    suspect = classifier(vocabulary=35) | {"bert.embeddings.position_ids": torch.arange(16)[None]}
    found = pair(tmp_path, suspect, bert())
    ours = sum(one.entries for one in found.skipped if one.side == "suspect")
    assert found.dimensions + ours == total_entries(found.suspect)


@pytest.mark.parametrize(("values", "explained"), [(torch.arange(16), True), (torch.arange(16).flip(0), False)])
def test_buffers_are_compared_for_equality(values: Tensor, explained: bool, tmp_path: Path) -> None:
    ids = {"embeddings.position_ids": torch.arange(16)}
    found = pair(tmp_path, bert() | {"embeddings.position_ids": values}, bert() | ids)
    assert "embeddings.position_ids" not in found.comparables
    assert [(one.kind, one.explained) for one in found.skipped] == [("buffer", explained)]


def test_heads_of_other_shapes_are_explained_and_of_one_shape_compared(tmp_path: Path) -> None:
    other = pair(tmp_path / "a", classifier(labels=2), classifier(labels=3))
    assert {(one.kind, one.explained) for one in other.skipped} == {("head", True)}
    same = pair(tmp_path / "b", classifier(), classifier(seed=1))
    assert "classifier.weight" in same.comparables


def tied(seed: int = 0, *, equal: bool = True, second: bool = True) -> dict[str, Tensor]:
    tensors = bert(prefix="bert.", seed=seed)
    words = tensors["bert." + WORDS]
    return tensors | ({"cls.predictions.decoder.weight": words.clone() if equal else words + 1} if second else {})


def test_a_tensor_stored_twice_counts_once(tmp_path: Path) -> None:
    found = pair(tmp_path, tied(), tied(seed=1))
    assert found.tied == {"cls.predictions.decoder.weight": "bert." + WORDS}
    assert "cls.predictions.decoder.weight" not in found.comparables
    assert found.dimensions == sum(tensor.numel() for tensor in bert().values())
    assert {(one.side, one.kind, one.explained) for one in found.skipped} == {
        ("suspect", "tied", True),
        ("reference", "tied", True),
    }


def test_a_tie_that_was_cut_counts_twice(tmp_path: Path) -> None:
    found = pair(tmp_path, tied(equal=False), tied(seed=1))
    assert not found.tied
    assert "cls.predictions.decoder.weight" in found.comparables


def test_a_tied_tensor_is_found_by_either_of_its_names(tmp_path: Path) -> None:
    lonely = {("lm_head.weight" if n.endswith("wte.weight") else n): t for n, t in _gpt().items()}
    found = pair(tmp_path, lonely, _gpt())
    assert found.comparables["lm_head.weight"].reference_name == "transformer.wte.weight"
    assert not found.skipped


def _gpt() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {
        "transformer.wte.weight": torch.randn(30, 8, generator=draw),
        "transformer.h.0.attn.c_attn.weight": torch.randn(8, 24, generator=draw),
    }


TWICE = "encoder.layer.0.attention.self.query.weight"


@pytest.mark.parametrize("spelt", [f"bert.{TWICE}", f"model.bert.{TWICE}"])
def test_one_tensor_under_two_prefixes_counts_once(spelt: str, tmp_path: Path) -> None:
    found = pair(tmp_path, {spelt: bert()[TWICE], **bert()}, bert(seed=1))
    assert TWICE in found.comparables
    assert found.tied == {spelt: TWICE}
    assert [(one.name, one.kind, one.explained) for one in found.skipped] == [(spelt, "tied", True)]


def test_the_reference_has_no_say_in_which_name_is_chosen(tmp_path: Path) -> None:
    """Whoever loads the suspect alone must come to the same names."""
    names = (f"bert.{TWICE}", f"roberta.{TWICE}")
    suspect = {n: t for n, t in bert().items() if n != TWICE} | {n: bert()[TWICE] for n in names}
    for at, name in enumerate(names):
        reference = {n: t for n, t in bert(seed=1).items() if n != TWICE} | {name: bert(seed=1)[TWICE]}
        found = pair(tmp_path / str(at), suspect, reference)
        assert found.comparables[names[0]].reference_name == name
        assert found.tied == {names[1]: names[0]}


def _other_values(tensor: Tensor) -> Tensor:
    return tensor + torch.eye(len(tensor))


@pytest.mark.parametrize("side", ["suspect", "reference"])
@pytest.mark.parametrize(
    "change", [_other_values, Tensor.half, lambda t: t[:-1].clone()], ids=["values", "type", "shape"]
)
@pytest.mark.parametrize("spelt", [(TWICE, f"bert.{TWICE}"), (f"bert.{TWICE}", TWICE)], ids=["short", "long"])
def test_one_name_with_two_contents_is_refused(
    spelt: tuple[str, str], change: Callable[[Tensor], Tensor], side: str, tmp_path: Path
) -> None:
    sides = {"suspect": bert(), "reference": bert(seed=1)}
    tensors = sides[side]
    original = tensors.pop(TWICE)
    tensors |= {spelt[0]: original, spelt[1]: change(original)}
    with pytest.raises(PairError, match=f"the {side} stores one tensor twice .*'bert.{TWICE}'") as caught:
        pair(tmp_path, sides["suspect"], sides["reference"])
    assert "do not trust" in caught.value.hint


def test_a_copy_of_a_copy_follows_the_tensor_that_is_compared(tmp_path: Path) -> None:
    twice = tied() | {"bert.cls.predictions.decoder.weight": tied()["bert." + WORDS].clone()}
    found = pair(tmp_path, twice, tied(seed=1))
    assert set(found.tied.values()) == {"bert." + WORDS} <= found.comparables.keys()
    assert set(found.tied) == {"cls.predictions.decoder.weight", "bert.cls.predictions.decoder.weight"}


def test_of_an_encoder_decoders_embeddings_the_shared_one_is_compared(tmp_path: Path) -> None:
    words = torch.randn(30, 8)
    names = ("model.decoder.embed_tokens.weight", "model.encoder.embed_tokens.weight", "model.shared.weight")
    found = pair(tmp_path, {name: words.clone() for name in names}, {"model.shared.weight": words + 1})
    assert set(found.comparables) == {"model.shared.weight"}
    assert found.tied == dict.fromkeys(names[:2], "model.shared.weight")


WRONG: dict[str, tuple[dict[str, Tensor], dict[str, Any] | None, str]] = {
    "another architecture": (bert(), CONFIG | {"model_type": "roberta"}, "'bert' model and the reference a 'roberta'"),
    "another width": (bert(width=12), None, "width 8 and the reference width 12"),
    "nothing in common": ({"a": torch.ones(3)}, None, "no tensor in common"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_reference_is_refused(case: str, tmp_path: Path) -> None:
    reference, config, message = WRONG[case]
    with pytest.raises(PairError, match=message) as caught:
        pair(tmp_path, bert(), reference, (CONFIG, config))
    assert "--ref" in caught.value.hint


def test_architectures_are_not_compared(tmp_path: Path) -> None:
    configs = (CONFIG | {"architectures": ["A"]}, CONFIG | {"architectures": ["B"]})
    assert pair(tmp_path, classifier(), bert(), configs).dimensions


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hidden_size": 9}, "width of 9"),
        ({"vocab_size": 31}, "vocabulary of 31"),
        ({"num_hidden_layers": 3}, "layers of 3"),
    ],
)
def test_a_config_that_contradicts_its_weights_is_refused(change: dict[str, int], what: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=what):
        pair(tmp_path, classifier(), bert(), (CONFIG | change, CONFIG))


def test_a_layer_number_of_many_digits_is_one_more_layer(tmp_path: Path) -> None:
    suspect = classifier() | {f"bert.encoder.layer.{'1' * 480}.x": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"the weights have 3$"):
        pair(tmp_path, suspect, bert(), (CONFIG, CONFIG))
