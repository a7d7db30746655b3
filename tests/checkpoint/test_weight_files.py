"""What is examined is what is loaded: the files of a folder as transformers finds them, side by side with it."""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from purify_cli.checkpoint import open_checkpoint, write_model
from purify_cli.checkpoint.unexamined import unexamined_files
from purify_cli.errors import CheckpointError

Tensors = Mapping[str, Tensor]
Make = Callable[[Path, Tensors, Tensors], object]

MARK = "classifier.bias"
HONEST, EVIL = 1.0, 1000.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the configuration of a model and no weights."""
    path = tmp_path_factory.mktemp("model")
    config = BertConfig(
        vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=8, num_labels=2,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(path)
    return path


@pytest.fixture
def weights(model: Path) -> tuple[Tensors, Tensors]:
    """The honest and the other tensors."""
    tensors = BertForSequenceClassification.from_pretrained(model).state_dict()
    return tensors | {MARK: torch.full((2,), HONEST)}, tensors | {MARK: torch.full((2,), EVIL)}


@pytest.fixture
def place(model: Path, tmp_path: Path) -> Path:
    place = tmp_path / "m"
    place.mkdir()
    shutil.copy(model / "config.json", place)
    return place


def safe(place: Path, name: str, tensors: Tensors) -> None:
    (place / name).parent.mkdir(exist_ok=True, parents=True)
    save_file(dict(tensors), place / name, metadata={"format": "pt"})


def pickled(place: Path, name: str, tensors: object) -> None:
    torch.save(tensors, place / name)


def shards(place: Path, index: str, tensors: Tensors, *names: str) -> None:
    """Write tensors into files by turns, the marked one into the last, and an index."""
    keys = sorted(tensors, key=lambda key: key == MARK)
    parts = {name: {key: tensors[key] for key in keys[at :: len(names)]} for at, name in enumerate(names)}
    for part in parts.values():
        part.pop(MARK, None)
    parts[names[-1]][MARK] = tensors[MARK]
    for name, part in parts.items():
        (safe if name.endswith(".safetensors") else pickled)(place, name, part)
    table = {key: name for name, part in parts.items() for key in part}
    (place / index).write_text(json.dumps({"metadata": {}, "weight_map": table}))


def config(place: Path, **change: object) -> None:
    path = place / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def many(*makes: Callable[[Path, Tensors, Tensors], object]) -> Make:
    return lambda place, honest, evil: [make(place, honest, evil) for make in makes]


def honest(name: str) -> Make:
    return lambda p, h, _: (safe if name.endswith(".safetensors") else pickled)(p, name, h)


def evil(name: str) -> Make:
    return lambda p, _, e: (safe if name.endswith(".safetensors") else pickled)(p, name, e)


def setting(**change: object) -> Make:
    return lambda p, _, __: config(p, **change)


def index(name: str, *names: str) -> Make:
    return lambda p, h, _: shards(p, name, h, *names)


def other_index(name: str, *names: str) -> Make:
    return lambda p, _, e: shards(p, name, e, *names)


PAIR = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
PICKLES = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
INDEX, PICKLED_INDEX = "model.safetensors.index.json", "pytorch_model.bin.index.json"

SAME: dict[str, Make] = {
    "one file": evil("model.safetensors"),
    "a pickle": evil("pytorch_model.bin"),
    "shards": other_index(INDEX, *PAIR),
    "pickled shards": other_index(PICKLED_INDEX, *PICKLES),
    "a stray file beside a pickle": many(honest("x.safetensors"), evil("pytorch_model.bin")),
    "an index of another name beside a pickle": many(
        index("y.safetensors.index.json", "x.safetensors"), evil("pytorch_model.bin")
    ),
    "an index of another name beside pickled shards": many(
        index("y.safetensors.index.json", "x.safetensors"), other_index(PICKLED_INDEX, *PICKLES)
    ),
    "a stray file beside shards": many(honest("adapter.safetensors"), other_index(INDEX, *PAIR)),
    "a stray file beside a file": many(honest("a.safetensors"), evil("model.safetensors")),
    "a pickle beside a file": many(honest("pytorch_model.bin"), evil("model.safetensors")),
    "pickled shards beside a file": many(index(PICKLED_INDEX, *PICKLES), evil("model.safetensors")),
    "a file beside shards": many(index(INDEX, *PAIR), evil("model.safetensors")),
    "a shard that is called like the whole": other_index(INDEX, "model.safetensors"),
    "a pickle beside shards": many(honest("pytorch_model.bin"), other_index(INDEX, *PAIR)),
    "a pickle beside pickled shards": many(index(PICKLED_INDEX, *PICKLES), evil("pytorch_model.bin")),
    "shards of odd names": other_index(INDEX, "a.safetensors", "rest.safetensors"),
    "shards of another model": many(index("z.safetensors.index.json", "b.safetensors"), other_index(INDEX, *PAIR)),
    "a variant beside a file": many(honest("model.fp16.safetensors"), evil("model.safetensors")),
    "a variant's index beside a file": many(
        index("model.safetensors.index.fp16.json", "model.fp16-00001-of-00001.safetensors"), evil("model.safetensors")
    ),
    "a name in another case": many(honest("Model.safetensors"), evil("pytorch_model.bin")),
    "a file named by the configuration": many(
        honest("model.safetensors"), evil("evil.safetensors"), setting(transformers_weights="evil.safetensors")
    ),
    "an index named by the configuration": many(
        honest("model.safetensors"),
        other_index("e.safetensors.index.json", "e1.safetensors", "e2.safetensors"),
        setting(transformers_weights="e.safetensors.index.json"),
    ),
    "nothing named by the configuration": many(evil("model.safetensors"), setting(transformers_weights=None)),
    "other formats": many(
        evil("model.safetensors"), lambda p, *_: [(p / n).touch() for n in ("tf_model.h5", "flax_model.msgpack")]
    ),
    "a link to a file": many(
        evil("r.safetensors"), lambda p, *_: (p / "model.safetensors").symlink_to("r.safetensors")
    ),
}  # fmt: skip
"""The tensors that are read are those that are loaded: those with the other mark."""

REFUSED: dict[str, tuple[Make, str]] = {
    "another configuration": (
        many(
            honest("model.safetensors"),
            lambda p, *_: shutil.copy(p / "config.json", p / "config.4.0.0.json"),
            setting(configuration_files=["config.4.0.0.json"]),
        ),
        "configuration_files",
    ),
    "a key by another name": (
        many(
            honest("model.safetensors"),
            evil("evil.safetensors"),
            setting(attribute_map={"transformers_weights": "harmless"}, harmless="evil.safetensors"),
        ),
        "attribute_map",
    ),
    "a file of a sub-folder": (
        many(honest("model.safetensors"), evil("s/e.safetensors"), setting(transformers_weights="s/e.safetensors")),
        "transformers_weights names 's/e.safetensors'",
    ),
    "a file outside": (
        many(honest("model.safetensors"), evil("../e.safetensors"), setting(transformers_weights="../e.safetensors")),
        "transformers_weights names",
    ),
    "a pickle named by the configuration": (
        many(honest("model.safetensors"), setting(transformers_weights="adapter_model.bin")),
        "transformers_weights names",
    ),
    "a number named by the configuration": (
        many(honest("model.safetensors"), setting(transformers_weights=3)),
        "transformers_weights names 3",
    ),
    "nothing by the name in the configuration": (
        many(honest("model.safetensors"), setting(transformers_weights="e.safetensors")),
        "is missing",
    ),
    "weights named for a part": (
        many(honest("model.safetensors"), setting(text_config={"transformers_weights": "e.safetensors"})),
        "for a part of the model",
    ),
    "parts of a distributed checkpoint": (
        many(honest("model.safetensors"), evil("shard-00001-model-00001-of-00001.safetensors")),
        "parts of a distributed checkpoint",
    ),
    "a distributed part that is empty": (
        many(
            honest("model.safetensors"),
            evil("zz.safetensors"),
            lambda p, *_: (p / "shard-00002-model-00001-of-00001.safetensors").touch(),
        ),
        "parts of a distributed checkpoint",
    ),
    "an index of pickles and others": (other_index(PICKLED_INDEX, "a.safetensors", "b.bin"), "which is no pickle"),
    "an index of safetensors and others": (other_index(INDEX, "a.bin", "b.safetensors"), "no safetensors file"),
    "an adapter and its base's name": (
        many(
            honest("model.safetensors"),
            lambda p, *_: [(p / "adapter_config.json").write_text("{}"), (p / "config.json").unlink()],
        ),
        "no config.json",
    ),
    "one shard": (honest(PAIR[0]), "one shard of a sharded model"),
    "an adapter": (honest("adapter_model.safetensors"), "an adapter, not a whole model"),
    "two files": (many(honest("a.safetensors"), evil("b.safetensors")), "2 weight files and no index"),
    "two indices": (
        many(index("a.safetensors.index.json", "1.safetensors"), index("b.safetensors.index.json", "2.safetensors")),
        "2 weight files and no index",
    ),
    "a partition": (honest("zero_pp_rank_0_mp_rank_00_model_states.pt"), "one part of a DeepSpeed checkpoint"),
    "tensors beside a table of tensors": (
        lambda p, h, e: pickled(p, "pytorch_model.bin", {"state_dict": dict(h), **e}),
        "'state_dict' is no ordinary tensor",
    ),
    "a tensor in two shards": (
        many(index(INDEX, *PAIR), lambda p, _, e: safe(p, PAIR[0], e)),
        "is in",
    ),
}  # fmt: skip
"""Whatever transformers makes of it."""

ALONE: dict[str, Make] = {
    "one file of another name": evil("weights.safetensors"),
    "one index of another name": other_index("w.safetensors.index.json", "1.safetensors", "2.safetensors"),
    "a variant": evil("model.fp16.safetensors"),
    "one pickle": evil("best.pt"),
    "all shards and no index": many(other_index("i", *PAIR), lambda p, *_: (p / "i").unlink()),
}
"""Nothing that transformers loads, and no choice."""


def loaded(place: Path) -> Tensors:
    model = AutoModelForSequenceClassification.from_pretrained(place, local_files_only=True)
    return model.state_dict()


def check_named(place: Path) -> None:
    """Every weight file that was not examined is named, and keeps the verdict open."""
    files = open_checkpoint(str(place), allow_pickle=True).files
    told = {one.subject for one in unexamined_files(files) if one.unexamined}
    weight = re.compile(r"(?i).*\.(safetensors|bin|pt|h5|msgpack|(safetensors|bin)\.index.*json)")
    examined = {path.name for path in files.shards} | ({files.index.name} if files.index else set())
    assert told == {name for name in os.listdir(place) if weight.fullmatch(name)} - examined


@pytest.mark.parametrize("case", SAME)
def test_what_is_read_is_what_transformers_loads(case: str, place: Path, weights: tuple[Tensors, Tensors]) -> None:
    SAME[case](place, *weights)
    theirs = loaded(place)
    assert theirs[MARK].tolist() == [EVIL, EVIL]
    with open_checkpoint(str(place), allow_pickle=True) as ours:
        assert ours.specs.keys() == theirs.keys()
        assert all(torch.equal(ours.read(name), tensor.reshape(-1)) for name, tensor in theirs.items())
    check_named(place)


WRITTEN = (
    "a pickle",
    "a shard that is called like the whole",
    "shards of odd names",
    "a file named by the configuration",
)


@pytest.mark.parametrize("case", WRITTEN)
def test_what_is_written_is_one_model(case: str, place: Path, weights: tuple[Tensors, Tensors], tmp_path: Path) -> None:
    SAME[case](place, *weights)
    out = tmp_path / "out"
    out.mkdir()
    with open_checkpoint(str(place), allow_pickle=True) as ours:
        write_model(out, ours, like=ours, config=ours.config or {}, tokenizer=ours.files, metadata={})
        written = open_checkpoint(str(out))
        assert written.specs.keys() == ours.specs.keys()
        theirs = loaded(out)
        for name in ours.specs:
            assert torch.equal(ours.read(name), written.read(name))
            assert torch.equal(ours.read(name), theirs[name].reshape(-1))
    assert not list(unexamined_files(written.files))


@pytest.mark.parametrize("case", REFUSED)
def test_what_depends_on_more_than_the_folder_is_refused(
    case: str, place: Path, weights: tuple[Tensors, Tensors]
) -> None:
    make, message = REFUSED[case]
    make(place, *weights)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(str(place), allow_pickle=True)
    assert caught.value.hint.endswith(".")


@pytest.mark.parametrize("case", ALONE)
def test_a_model_that_transformers_does_not_find_is_read_where_it_is_the_only_one(
    case: str, place: Path, weights: tuple[Tensors, Tensors]
) -> None:
    ALONE[case](place, *weights)
    with pytest.raises(OSError, match="no file named"):
        loaded(place)
    with open_checkpoint(str(place), allow_pickle=True) as ours:
        assert ours.read(MARK).tolist() == [EVIL, EVIL]
    check_named(place)
