"""Weight files beside those that are examined."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from purify_cli.checkpoint import open_checkpoint, pair_checkpoints, structural_differences
from purify_cli.checkpoint.companions import LISTED
from purify_cli.checkpoint.unexamined import unexamined_files
from tests.checkpoint.shapes import CONFIG, bert, classifier, folder, save

Make = Callable[[Path], object]


def touch(*names: str) -> Make:
    def make(model: Path) -> None:
        for name in names:
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            (model / name).write_bytes(b"{}")

    return make


def told(given: Path) -> dict[str, bool]:
    """Subject → whether it keeps the verdict open."""
    return {one.subject: one.unexamined for one in unexamined_files(open_checkpoint(str(given)).files)}


NAMED: dict[str, tuple[Make, dict[str, bool]]] = {
    "nothing": (lambda m: None, {}),
    "a stray file": (touch("x.safetensors"), {"x.safetensors": True}),
    "a pickle": (touch("pytorch_model.bin"), {"pytorch_model.bin": True}),
    "other formats": (touch("tf_model.h5", "m.gguf"), {"tf_model.h5": True, "m.gguf": True}),
    "an index of nothing": (touch("pytorch_model.bin.index.json"), {"pytorch_model.bin.index.json": True}),
    "a sub-folder": (touch("onnx/model.onnx", "onnx/a/b.onnx", "onnx/x.json"), {"onnx/a/b.onnx": True}),
    "a configuration for a version": (touch("config.4.0.0.json"), {"config.4.0.0.json": True}),
    "an adapter": (
        touch("adapter_config.json", "adapter_model.safetensors"),
        {"adapter_model.safetensors": True},
    ),
    "what an adapter left": (touch("adapter_config.json"), {"adapter_config.json": False}),
    "a name that a terminal obeys": (touch("\x1b[2J.safetensors"), {"\\x1b[2J.safetensors": True}),
    "a name that no text file can hold": (
        lambda m: Path(os.fsdecode(os.fsencode(m) + b"/\xff.bin")).touch(),
        {"\\udcff.bin": True},
    ),
    "the state of a training": (
        touch("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "trainer_state.json", "scaler.pt"),
        {},
    ),
    "a trainer's output": (touch("checkpoint-5/model.safetensors", "global_step5/mp_rank_00_model_states.pt"), {}),
}


@pytest.mark.parametrize("case", NAMED)
def test_every_weight_file_is_named(case: str, tmp_path: Path) -> None:
    make, expected = NAMED[case]
    model = folder(tmp_path / "m", bert(), config=CONFIG)
    make(model)
    assert told(model) == expected


def test_a_file_given_by_its_name_is_compared_with_what_is_loaded(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), config=CONFIG)
    given = save(model / "x.safetensors", bert())
    (difference,) = unexamined_files(open_checkpoint(str(given)).files)
    assert difference.subject == "model.safetensors"
    assert difference.detail == "is what transformers loads from the folder and was not examined"
    assert difference.unexamined
    assert told(model / "model.safetensors") == {"x.safetensors": True}


def test_a_file_of_a_folder_that_is_refused_says_so(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), config=CONFIG)
    touch("shard-00001-model-00001-of-00001.safetensors")(model)
    assert told(model / "model.safetensors") == {"folder": True, "shard-00001-model-00001-of-00001.safetensors": True}


def test_files_in_no_model_folder_are_not_named(tmp_path: Path) -> None:
    given = save(tmp_path / "a.safetensors", bert())
    save(tmp_path / "b.safetensors", bert())
    assert told(given) == {}


def test_a_weight_file_more_is_a_difference_of_the_model(tmp_path: Path) -> None:
    model = folder(tmp_path / "s", classifier(), config=CONFIG)
    touch("pytorch_model.bin")(model)
    suspect, reference = (
        open_checkpoint(str(model)),
        open_checkpoint(str(folder(tmp_path / "r", bert(), config=CONFIG))),
    )
    differences = structural_differences(suspect, reference, pair_checkpoints(suspect, reference))
    assert ("weights", "pytorch_model.bin", True) in {(one.kind, one.subject, one.unexamined) for one in differences}


def test_many_files_are_counted(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), config=CONFIG)
    touch(*(f"{n}.bin" for n in range(LISTED + 7)))(model)
    given = save(model / "x.safetensors", bert())
    found = list(unexamined_files(open_checkpoint(str(given)).files))
    assert len(found) == LISTED + 1
    assert found[0].subject == "model.safetensors"
    assert found[-1].detail == "holds 8 more weight files that were not examined"


def test_an_index_of_wrapped_names_is_right(tmp_path: Path) -> None:
    wrapped = {f"module.{name}": tensor for name, tensor in classifier().items()}
    suspect = open_checkpoint(str(folder(tmp_path / "s", wrapped, config=CONFIG, shards=2)))
    reference = open_checkpoint(str(folder(tmp_path / "r", bert(), config=CONFIG)))
    found = structural_differences(suspect, reference, pair_checkpoints(suspect, reference))
    assert not [one for one in found if one.subject == "index"]


def test_an_index_that_lists_what_no_file_holds_is_a_difference(tmp_path: Path) -> None:
    model = folder(tmp_path / "s", bert(), config=CONFIG, shards=2)
    path = model / "model.safetensors.index.json"
    table = json.loads(path.read_text())
    first, *_, last = table["weight_map"]
    moved = {first: table["weight_map"][last], "lm_head.weight": "model-00001-of-00002.safetensors"}
    table["weight_map"] |= moved
    path.write_text(json.dumps(table))
    suspect, reference = (
        open_checkpoint(str(model)),
        open_checkpoint(str(folder(tmp_path / "r", bert(), config=CONFIG))),
    )
    found = structural_differences(suspect, reference, pair_checkpoints(suspect, reference))
    assert [(one.kind, one.subject, one.detail) for one in found] == [
        ("config", "index", "lists 'lm_head.weight', which no file holds"),
        ("config", "index", f"puts {first!r} into another file than it is in"),
    ]
