import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from purify_cli.defences import METHODS
from purify_cli.errors import PairError, UsageError
from purify_cli.progress import SILENT
from tests.defences.worlds import rework_inputs

AVERAGE = METHODS["weight-average"]


def test_suspect_and_reference_meet_in_the_middle_and_the_head_is_the_suspects(tiny_suspect, tiny_reference):
    given = rework_inputs("weight-average", tiny_suspect, tiny_reference)
    done = AVERAGE.prepare(given, SILENT)(None)
    pair = given.pair
    assert done.facts["with"] == "reference"
    assert sum(done.per_tensor.values()) == pair.dimensions
    for name in given.weights.specs:
        new, suspect = done.weights.read(name), given.weights.read(name)
        if name in pair.comparables:
            expected = ((suspect.double() + pair.reference_part.read(name).double()) / 2).float()
            assert torch.equal(new, expected), name
        else:
            assert torch.equal(new, suspect), name
    kept = set(given.weights.specs) - set(pair.comparables)
    assert "classifier.weight" in kept


def test_several_models_are_averaged_head_included_in_any_order_and_any_naming(
    tiny_suspect, tiny_clean, tiny_reference, copy_model
):
    # Another naming: what a wrapped model saves.
    third = copy_model(tiny_suspect, "third")
    tensors = load_file(third / "model.safetensors")
    tensors = {f"module.{name}": tensor * 3 for name, tensor in tensors.items()}
    save_file(tensors, third / "model.safetensors", metadata={"format": "pt"})
    given = rework_inputs("weight-average", tiny_suspect, tiny_reference, others=[tiny_clean, third])
    done = AVERAGE.prepare(given, SILENT)(None)
    assert done.facts == {"models": 3, "with": "other models", "labels named by all": True}
    one, two = load_file(tiny_suspect / "model.safetensors"), load_file(tiny_clean / "model.safetensors")
    for name, tensor in one.items():
        mean = ((tensor.double() + two[name].double() + tensors[f"module.{name}"].double()) / 3).float()
        assert torch.equal(done.weights.read(name), mean.flatten()), name
        # The same in pieces that do not start at 0.
        assert torch.equal(done.weights.read(name, 1, 3), mean.flatten()[1:3])
    swapped = rework_inputs("weight-average", tiny_suspect, tiny_reference, others=[third, tiny_clean])
    again = AVERAGE.prepare(swapped, SILENT)(None)
    for name in one:
        torch.testing.assert_close(again.weights.read(name), done.weights.read(name), rtol=1e-7, atol=0)


def test_the_average_of_equal_models_is_the_model(tiny_suspect, tiny_reference):
    given = rework_inputs("weight-average", tiny_suspect, tiny_reference, others=[tiny_suspect, tiny_suspect])
    done = AVERAGE.prepare(given, SILENT)(None)
    assert all(torch.equal(done.weights.read(name), given.weights.read(name)) for name in given.weights.specs)


def test_16_bit_weights_are_averaged_wider(copy_model, tiny_suspect, tiny_clean, tiny_reference):
    folders = []
    for name, source in (("a", tiny_suspect), ("b", tiny_clean)):
        folder = copy_model(source, name)
        tensors = {n: t.bfloat16() for n, t in load_file(folder / "model.safetensors").items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        folders.append(folder)
    given = rework_inputs("weight-average", folders[0], tiny_reference, others=[folders[1]])
    done = AVERAGE.prepare(given, SILENT)(None)
    one, two = (load_file(folder / "model.safetensors") for folder in folders)
    for name in one:
        found = done.weights.read(name)
        assert found.dtype == torch.bfloat16
        assert torch.equal(found, ((one[name].double() + two[name].double()) / 2).bfloat16().flatten())


def test_other_labels_in_another_order_are_refused(copy_model, tiny_suspect, tiny_clean, tiny_reference):
    other = copy_model(tiny_clean)
    config = json.loads((other / "config.json").read_text())
    config["id2label"] = {"0": "positive", "1": "negative"}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(PairError, match=r"model 1 of --with has the labels positive, negative"):
        AVERAGE.prepare(rework_inputs("weight-average", tiny_suspect, tiny_reference, others=[other]), SILENT)
    # A model that names no labels cannot be checked, and the record says so.
    del config["id2label"], config["label2id"]
    (other / "config.json").write_text(json.dumps(config))
    made = AVERAGE.prepare(rework_inputs("weight-average", tiny_suspect, tiny_reference, others=[other]), SILENT)(None)
    assert made.facts["labels named by all"] is False


@pytest.mark.parametrize("change", ["missing", "longer"])
def test_models_of_another_shape_are_refused(copy_model, tiny_suspect, tiny_clean, tiny_reference, change):
    other = copy_model(tiny_clean)
    tensors = load_file(other / "model.safetensors")
    if change == "missing":
        del tensors["bert.pooler.dense.weight"]
    else:
        tensors["classifier.weight"] = torch.zeros(3, 64)
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    match = r"pooler\.dense\.weight .* no such tensor" if change == "missing" else r"classifier\.weight .* \[3, 64\]"
    with pytest.raises(PairError, match=match):
        AVERAGE.prepare(rework_inputs("weight-average", tiny_suspect, tiny_reference, others=[other]), SILENT)


def test_it_has_no_settings():
    with pytest.raises(UsageError, match="method weight-average has no setting 'weights'"):
        AVERAGE.check({"weights": "0.5"})
