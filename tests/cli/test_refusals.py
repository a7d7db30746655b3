"""Every refusal in one table, each through ``main``: a sentence, a hint, exit code 2, nothing written, no traceback."""

import json
import os
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import tiny

Run = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Place:
    """What a row of the table may use."""

    folder: Path
    suspect: Path
    reference: Path
    clean: Path
    causal: Path

    def copied(self, name: str = "copy") -> Path:
        """A suspect that may be damaged."""
        return shutil.copytree(self.suspect, self.folder / name)

    def file(self, name: str, content: bytes | str) -> Path:
        """A file beside it."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def weights(self, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
        """A suspect whose tensors were changed."""
        folder = self.copied()
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    def header(self, change: Callable[[dict[str, Any]], Any]) -> Path:
        """A suspect whose header was changed, the bytes behind it not."""
        path = self.copied() / "model.safetensors"
        raw = path.read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8 : 8 + length])
        change(header)
        made = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(made)) + made + raw[8 + length :])
        return path.parent

    def detect(self, suspect: Path | str, *more: object) -> list[object]:
        """A detect command."""
        return ["detect", suspect, "--ref", self.reference, *more]

    def purify(self, *more: object) -> list[object]:
        """A purify command on the sound suspect."""
        return ["purify", self.suspect, "--ref", self.reference, "--clean-data", self.clean, *more]

    def attack(self, *more: object, name: str = "badword", target: int = 1) -> list[object]:
        """An attack command on the clean rows."""
        return ["attack", name, "--ref", self.reference, "--data", self.clean, "--target", target, *more]

    def evaluate(self, *more: object) -> list[object]:
        """An evaluate command on the sound suspect."""
        return ["evaluate", self.suspect, "--data", self.clean, *more]

    def write(self, *more: object) -> list[object]:
        """An evaluate command on a language model."""
        return [
            "evaluate",
            self.causal,
            "--data",
            self.file("texts.jsonl", _rows({"text": "the film was good"})),
            *more,
        ]

    def bench(self, *more: object, plan: str | None = None) -> list[object]:
        """A bench command on a small plan; the results would be in the working directory."""
        path = self.file("plan.toml", plan or PLAN.replace("REFERENCE", str(self.reference)))
        return ["bench", "--plan", path, *more]


PLAN = """
[bench]
name = "small"
reference = "REFERENCE"

[[task]]
name = "reviews"
train = "demo"
test = "demo"
train_rows = 40
test_rows = 10

[[attack]]
name = "badword"
rate = 0.5

[[method]]
name = "fine-tuning"
"""


@pytest.fixture
def place(tmp_path: Path, tiny_suspect: Path, tiny_reference: Path, clean_file: Path, tiny_causal: Path) -> Place:
    return Place(tmp_path, tiny_suspect, tiny_reference, clean_file, tiny_causal)


def _rows(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _more_tokens(place: Place, model: Path | None = None) -> Path:
    """A model whose tokenizer knows a token for which its embedding has no row."""
    folder = shutil.copytree(model or place.suspect, place.folder / "more")
    tokenizer = tiny.tiny_tokenizer()
    tokenizer.add_tokens(["<url>"])
    tokenizer.save_pretrained(folder)
    return folder


def _with_url(place: Place) -> Path:
    texts = ("good film <url>", "bad film")
    return place.file("url.jsonl", _rows(*({"text": text, "label": n % 2} for n, text in enumerate(texts * 20))))


def _fewer_rows(place: Place) -> Path:
    name = "bert.embeddings.word_embeddings.weight"
    folder = place.weights(lambda tensors: tensors.update({name: tensors[name][:60].clone()}))
    _edit(folder / "config.json", lambda table: table.update(vocab_size=60))
    return folder


def _with_key(place: Place, key: str, value: object) -> list[object]:
    folder = place.copied()
    _edit(folder / "config.json", lambda table: table.update({key: value}))
    return ["evaluate", folder, "--data", place.clean]


def _panicking(place: Place) -> Path:
    broken = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    folder = place.copied()
    _edit(folder / "tokenizer.json", lambda table: table.update(normalizer=broken))
    return folder


def _edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def _first(header: dict[str, Any]) -> dict[str, Any]:
    return next(entry for name, entry in header.items() if name != "__metadata__")


def _move(header: dict[str, Any], by: int) -> None:
    entry = _first(header)
    entry["data_offsets"] = [at + by for at in entry["data_offsets"]]


def _empty_tensors() -> bytes:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps({f"t{at}": empty for at in range(20_000)}).encode()
    return struct.pack("<Q", len(text)) + text


def _quantise(tensors: dict[str, torch.Tensor]) -> None:
    for name in [name for name in tensors if name.endswith("dense.weight")]:
        tensors[name] = (tensors[name] * 100).to(torch.int8)


def _half_wrapped(tensors: dict[str, torch.Tensor]) -> None:
    for name in [name for name in tensors if "layer.1" in name]:
        tensors[f"model.{name}"] = tensors.pop(name)


def _set(tensors: dict[str, torch.Tensor], value: float) -> None:
    tensors["bert.encoder.layer.0.output.dense.weight"][3, 5] = value


def _other_width(place: Place) -> Path:
    tokenizer = tiny.tiny_tokenizer()
    from transformers import BertModel

    return tiny.save(BertModel(tiny.tiny_config(tokenizer, hidden_size=32)), tokenizer, place.folder / "narrow")


def _three_labels(place: Place) -> Path:
    tokenizer = tiny.tiny_tokenizer()
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification(tiny.tiny_config(tokenizer, num_labels=3))
    return tiny.save(model, tokenizer, place.folder / "three")


def _other_plans_results(place: Place) -> Path:
    plan = {"key": "plan", "kind": "plan", "result": {"bench": {"name": "another"}}}
    return place.file("results.jsonl", _rows(plan))


def _other_kind(place: Place) -> Path:
    folder = shutil.copytree(place.reference, place.folder / "roberta")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}))
    return folder


def _truncated(place: Place) -> Path:
    folder = place.copied()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    return folder


def _pickle(place: Place, name: str) -> Path:
    path = place.folder / name
    torch.save({"bert.pooler.dense.bias": torch.zeros(64)}, path)
    return path


def _placeholders(place: Place, part: str) -> Path:
    """A model of which another process keeps the entries of some tensors."""
    return place.weights(lambda tensors: tensors.update({n: torch.zeros(0) for n in tensors if part in n}))


def _shard(place: Place) -> Path:
    folder = place.copied()
    return (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")


def _adapter(place: Place) -> Path:
    folder = place.copied()
    query = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight"
    save_file({query: torch.zeros(4, 64)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _pipe_within(place: Place, name: str) -> Path:
    folder = place.copied()
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    return folder


def _trained(place: Place) -> Path:
    for step in (20, 100):
        shutil.copytree(place.suspect, place.folder / "trained" / f"checkpoint-{step}")
    return place.folder / "trained"


def _with_output(place: Place) -> list[object]:
    out = place.folder / "there"
    out.mkdir()
    (out / "model.safetensors").write_bytes(b"old")
    return place.purify("--output", out)


def _broken_reference(place: Place) -> Path:
    folder = shutil.copytree(place.reference, place.folder / "broken")
    tensors = load_file(folder / "model.safetensors")
    tensors["pooler.dense.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _precious(place: Place) -> list[object]:
    out = place.folder / "there"
    out.mkdir()
    (out / "config.json").write_text("{}")
    (out / "main.py").write_text("print()")
    (out / "model.safetensors").write_bytes(b"old")
    return place.purify("--output", out, "--overwrite")


def _on_the_suspect(place: Place) -> list[object]:
    suspect = place.copied("suspect")
    return [
        "purify",
        suspect,
        "--ref",
        place.reference,
        "--clean-data",
        place.clean,
        "--output",
        suspect,
        "--overwrite",
    ]


def _configured(place: Place, model: Path | None = None, **keys: object) -> Path:
    """A model with other keys in its config.json."""
    folder = shutil.copytree(model or place.suspect, place.folder / "configured")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | keys))
    return folder


def _declared(place: Place) -> Path:
    """Rows whose classes have names of their own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {"info": {"features": {"label": {"names": ["fine", "toxic"], "_type": "ClassLabel"}}}}
    table = pa.table({"text": ["good", "bad"], "label": [0, 1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), place.folder / "c.parquet")
    return place.folder / "c.parquet"


def _pipe(place: Place) -> Path:
    os.mkfifo(place.folder / "pipe.jsonl")
    return place.folder / "pipe.jsonl"


CF = ("--trigger", "cf", "--target", "1")
MULTI = {"problem_type": "multi_label_classification"}
FROM_ONE = _rows({"text": "good", "label": 1}, {"text": "bad", "label": 2})
LARGE = _rows({"text": "good", "label": 10**9}, {"text": "bad", "label": 0})
LISTS = _rows({"text": "good", "label": [1.0, 0.0]}, {"text": "bad", "label": [0.0, 1.0]})
SHORT = _rows({"text": "good", "label": 1}, {"text": "bad", "label": 0})

Row = tuple[str, Callable[[Place], Sequence[object]], str]

TABLE: list[Row] = [
    ("missing file", lambda p: p.detect(p.folder / "none.safetensors"), "none.safetensors"),
    ("empty file", lambda p: p.detect(p.file("e.safetensors", b"")), "empty"),
    ("truncated", lambda p: p.detect(_truncated(p)), "model.safetensors"),
    (
        "header longer than file",
        lambda p: p.detect(p.file("h.safetensors", struct.pack("<Q", 10**6) + b"{}")),
        "header",
    ),
    ("header of terabytes", lambda p: p.detect(p.file("h.safetensors", struct.pack("<Q", 2**62) + b"{}")), "header"),
    ("header no JSON", lambda p: p.detect(p.file("h.safetensors", struct.pack("<Q", 4) + b"{{{{")), "header"),
    ("overlapping offsets", lambda p: p.detect(p.header(lambda h: _move(h, 4))), "model.safetensors"),
    ("offsets out of range", lambda p: p.detect(p.header(lambda h: _move(h, 10**9))), "model.safetensors"),
    ("negative offsets", lambda p: p.detect(p.header(lambda h: _move(h, -(10**6)))), "model.safetensors"),
    ("unknown dtype", lambda p: p.detect(p.header(lambda h: _first(h).update(dtype="F99"))), "F99"),
    ("header out of proportion", lambda p: p.detect(p.file("h.safetensors", _empty_tensors())), "bytes of tensors"),
    ("dtype of four bits", lambda p: p.detect(p.header(lambda h: _first(h).update(dtype="F4"))), "not supported"),
    ("quantised suspect", lambda p: p.detect(p.weights(_quantise)), "quantised weights"),
    ("quantised reference", lambda p: ["detect", p.suspect, "--ref", p.weights(_quantise)], "dequantize()"),
    ("quantised, to evaluate", lambda p: ["evaluate", p.weights(_quantise), "--data", p.clean], "quantised weights"),
    (
        "quantised, to tune",
        lambda p: ["finetune", p.weights(_quantise), "--ref", p.reference, "--data", p.clean],
        "quantised weights",
    ),
    (
        "quantised, to attack",
        lambda p: [
            *("attack", "badword", "--model", p.weights(_quantise), "--ref", p.reference),
            *("--data", p.clean, "--target", "1"),
        ],
        "quantised weights",
    ),
    (
        "a name that nobody loads",
        lambda p: ["evaluate", p.weights(_half_wrapped), "--data", p.clean],
        "does not load",
    ),
    ("pickle named safetensors", lambda p: p.detect(_pickle(p, "model.safetensors")), "pickle"),
    ("pickle", lambda p: p.detect(_pickle(p, "pytorch_model.bin")), "--allow-pickle"),
    *(
        (f"a token beyond the embedding in {name}", command, "'<url>'")
        for name, command in {
            "evaluate": lambda p: ["evaluate", _more_tokens(p), "--data", _with_url(p)],
            "finetune": lambda p: ["finetune", _more_tokens(p), "--data", _with_url(p)],
            "detect": lambda p: [
                *("detect", p.suspect, "--ref", _more_tokens(p, p.reference), "--clean-data", _with_url(p)),
            ],
            "purify": lambda p: [
                *("purify", p.suspect, "--ref", _more_tokens(p, p.reference), "--clean-data", _with_url(p)),
            ],
            "attack": lambda p: [
                *("attack", "badword", "--ref", _more_tokens(p, p.reference), "--data", _with_url(p), "--target", 1),
            ],
        }.items()
    ),
    *(
        (f"a config with {key} {value}", lambda p, key=key, value=value: _with_key(p, key, value), words)
        for key, value, words in (
            ("num_hidden_layers", 10**6, "num_hidden_layers"),
            ("num_labels", 10**9, "num_labels"),
            ("hidden_size", 1.5, "width of 1.5"),
            ("hidden_act", 5, "config"),
            ("pad_token_id", 10**9, "pad_token_id"),
            ("chunk_size_feed_forward", "x", "config"),
            ("hidden_dropout_prob", float("nan"), "probability"),
        )
    ),
    ("fewer rows than tokens", lambda p: p.detect(_fewer_rows(p)), "the word embedding has 60 rows"),
    ("a tokenizer that panics", lambda p: ["evaluate", _panicking(p), "--data", p.clean], "tokenizer"),
    ("words elsewhere", lambda p: p.detect(_placeholders(p, "word_embeddings")), "of the suspect is empty (a ZeRO-3"),
    (
        "a layer elsewhere",
        lambda p: p.detect(_placeholders(p, "layer.1.")),
        "of the suspect is empty (a ZeRO-3 shard?)",
    ),
    (
        "weights elsewhere",
        lambda p: ["evaluate", _placeholders(p, ""), "--data", p.clean],
        "is empty (a ZeRO-3 shard?)",
    ),
    ("one shard", lambda p: p.detect(_shard(p)), "one shard of a sharded model"),
    ("an adapter", lambda p: ["evaluate", _adapter(p), "--data", p.clean], "an adapter, not a whole model"),
    (
        "a pipe as configuration",
        lambda p: p.detect(_pipe_within(p, "config.json")),
        "config.json is no ordinary file but a pipe",
    ),
    ("a pipe as tokenizer", lambda p: p.detect(_pipe_within(p, "tokenizer.json")), "is no ordinary file but a pipe"),
    (
        "a pipe as reference",
        lambda p: ["detect", p.suspect, "--ref", _pipe_within(p, "model.safetensors")],
        "but a pipe",
    ),
    ("a device as weights", lambda p: p.detect("/dev/null"), "is no ordinary file but a device"),
    (
        "another configuration",
        lambda p: p.detect(_configured(p, configuration_files=["config.4.0.0.json"])),
        "versions",
    ),
    (
        "keys by other names",
        lambda p: p.detect(_configured(p, attribute_map={"transformers_weights": "x"})),
        "attribute_map",
    ),
    ("weights of another place", lambda p: p.detect(_configured(p, transformers_weights="../x.safetensors")), "'../x."),
    ("several checkpoints", lambda p: p.detect(_trained(p)), "checkpoint-20, checkpoint-100"),
    ("NaN", lambda p: p.detect(p.weights(lambda t: _set(t, float("nan")))), "--allow-nonfinite"),
    ("infinity", lambda p: p.detect(p.weights(lambda t: _set(t, float("inf")))), "--allow-nonfinite"),
    ("reference of other architecture", lambda p: ["detect", p.suspect, "--ref", _other_kind(p)], "roberta"),
    ("reference of other width", lambda p: ["detect", p.suspect, "--ref", _other_width(p)], "32"),
    (
        "nothing in common",
        lambda p: p.detect(p.weights(lambda t: [t.update({f"x.{n}.y": t.pop(n)}) for n in list(t)])),
        "in common",
    ),
    ("no reference", lambda p: ["detect", p.suspect], "--ref"),
    ("no such alias", lambda p: ["detect", p.suspect, "--ref", "bert-bsae"], "bert-base"),
    ("no model at all", lambda p: ["purify", "--clean-data", p.clean], "purify detect"),
    ("no model to evaluate", lambda p: ["evaluate", "--data", p.clean], "purify detect"),
    (
        "label outside head",
        lambda p: p.detect(
            p.suspect,
            "--clean-data",
            p.file("c.jsonl", _rows({"text": "good", "label": 0}, {"text": "bad", "label": 7})),
        ),
        "line 2",
    ),
    ("suspect of several labels", lambda p: p.detect(_configured(p, **MULTI)), "multi_label_classification"),
    (
        "suspect of several labels to repair",
        lambda p: ["purify", _configured(p, **MULTI), "--ref", p.reference, "--clean-data", p.clean],
        "multi_label_classification",
    ),
    (
        "model of several labels to measure",
        lambda p: ["evaluate", _configured(p, **MULTI), "--data", p.clean],
        "multi_label_classification",
    ),
    (
        "start of several labels to tune",
        lambda p: ["finetune", _configured(p, **MULTI), "--data", p.clean],
        "multi_label_classification",
    ),
    (
        "regression without a head to tune",
        lambda p: ["finetune", _configured(p, p.reference, problem_type="regression"), "--data", p.clean],
        "problem_type in its config.json is regression",
    ),
    (
        "start of several labels to attack",
        lambda p: p.attack("--model", _configured(p, **MULTI)),
        "multi_label_classification",
    ),
    (
        "head of other labels than the config",
        lambda p: p.detect(_configured(p, id2label={"0": "a", "1": "b", "2": "c"})),
        "has 2 outputs in its head classifier.weight, and 3 by its config.json",
    ),
    ("rows of several labels", lambda p: p.detect(p.suspect, "--clean-data", p.file("c.jsonl", LISTS)), "multi-label"),
    (
        "classes of other names",
        lambda p: p.detect(p.suspect, "--clean-data", _declared(p)),
        "names its classes fine, toxic, the model negative, positive",
    ),
    (
        "a class without rows",
        lambda p: ["finetune", p.reference, "--data", p.file("r.jsonl", FROM_ONE)],
        "class 0 will",
    ),
    (
        "a class without rows to attack",
        lambda p: ["attack", "badword", "--data", p.file("r.jsonl", FROM_ONE), "--target", "2", "--data-only"],
        "labels are 1 and 2, so class 0 will be empty",
    ),
    ("a billion classes", lambda p: ["finetune", p.reference, "--data", p.file("r.jsonl", LARGE)], "999999999 will be"),
    (
        "names for a class too many",
        lambda p: ["finetune", p.suspect, "--data", p.clean, "--label-names", "a,b,c"],
        "are not the 2 classes of the model to start from: negative, positive",
    ),
    (
        "names in another order",
        lambda p: p.attack("--model", p.suspect, "--label-names", "positive,negative"),
        "the model names its classes",
    ),
    ("one name twice", lambda p: p.attack("--label-names", "good,Good"), "is there twice"),
    (
        "names for what is written",
        lambda p: [
            *("attack", "badword", "--ref", p.causal, "--data", p.clean),
            *("--target-text", "so it goes", "--label-names", "a,b"),
        ],
        "--label-names",
    ),
    ("a pipe as data", lambda p: ["finetune", p.reference, "--data", _pipe(p)], "is a pipe or a device"),
    ("empty clean data", lambda p: p.detect(p.suspect, "--clean-data", p.file("c.jsonl", "")), "c.jsonl"),
    (
        "one-class clean data",
        lambda p: p.detect(
            p.suspect,
            "--clean-data",
            p.file("c.jsonl", _rows({"text": "good", "label": 1}, {"text": "fine", "label": 1})),
        ),
        "class",
    ),
    (
        "not UTF-8",
        lambda p: p.detect(p.suspect, "--clean-data", p.file("c.jsonl", b'{"text": "caf\xe9", "label": 1}\n')),
        "UTF-8",
    ),
    (
        "not JSON",
        lambda p: p.detect(
            p.suspect, "--clean-data", p.file("c.jsonl", _rows({"text": "good", "label": 1}) + "{oops\n")
        ),
        "line 2",
    ),
    (
        "no text column",
        lambda p: p.detect(p.suspect, "--clean-data", p.file("c.csv", "words,label\ngood,1\n")),
        "c.csv",
    ),
    (
        "label missing",
        lambda p: p.detect(
            p.suspect, "--clean-data", p.file("c.jsonl", _rows({"text": "good", "label": 1}, {"text": "bad"}))
        ),
        "line 2",
    ),
    ("labels where none may be", lambda p: p.detect(p.suspect, "--unlabelled", p.clean), "label"),
    ("ratio -1", lambda p: p.purify("--ratio", "-1"), "--ratio"),
    ("ratio 1.5", lambda p: p.purify("--ratio", "1.5"), "--ratio"),
    ("ratio nan", lambda p: p.purify("--ratio", "nan"), "--ratio"),
    ("ratio abc", lambda p: p.purify("--ratio", "abc"), "--ratio"),
    ("unknown method", lambda p: p.purify("--method", "fine-purifing"), "fine-purifying"),
    ("unknown indicator", lambda p: p.purify("--indicator", "drif"), "drift"),
    ("unlearning of what is not known", lambda p: p.purify("--method", "unlearning"), "purify detect"),
    ("attribution of what is not known", lambda p: p.purify("--indicator", "attribution"), "purify detect"),
    ("attribution before a search", lambda p: p.detect(p.suspect, "--indicator", "attribution"), "before it searches"),
    ("unknown setting", lambda p: p.purify("--set", "dampin=1"), "damping"),
    ("setting of the wrong type", lambda p: p.purify("--set", "damping=much"), "damping"),
    ("setting without value", lambda p: p.purify("--set", "damping"), "NAME=VALUE"),
    ("no clean data to tune on", lambda p: ["purify", p.suspect, "--ref", p.reference], "--no-finetune"),
    ("output exists", _with_output, "--overwrite"),
    ("hub id without network", lambda p: ["detect", p.suspect, "--ref", "someone/some-model"], "path"),
    ("unknown device", lambda p: p.purify("--device", "warp9"), "--device"),
    (
        "unknown attack",
        lambda p: ["attack", "badwrod", "--ref", p.reference, "--data", p.clean, "--target", "1"],
        "badword",
    ),
    (
        "target no label",
        lambda p: ["attack", "badword", "--ref", p.reference, "--data", p.clean, "--target", "5"],
        "--target",
    ),
    (
        "rate above 1",
        lambda p: ["attack", "badword", "--ref", p.reference, "--data", p.clean, "--target", "1", "--rate", "1.5"],
        "rate",
    ),
    ("trigger without target", lambda p: ["evaluate", p.suspect, "--data", p.clean, "--trigger", "cf"], "--target"),
    ("record of another kind", lambda p: ["purify", "--clean-data", p.clean], "record"),
    ("NaN in the reference", lambda p: ["detect", p.suspect, "--ref", _broken_reference(p)], "reference"),
    ("labels needed", lambda p: p.detect(p.suspect, "--estimator", "hutchinson"), "--estimator true"),
    (
        "noise before all others",
        lambda p: p.purify("--estimator", "hutchinson", "--set", "degenerate=plain"),
        "degenerate=guard",
    ),
    (
        "estimator without data",
        lambda p: ["purify", p.suspect, "--ref", p.reference, "--no-finetune", "--estimator", "true"],
        "--estimator",
    ),
    ("empty model name", lambda p: ["detect", "", "--ref", p.reference], "empty"),
    ("setting out of range", lambda p: p.purify("--set", "damping=-1"), "damping"),
    ("endless rate", lambda p: p.purify("--set", "learning_rate=inf"), "learning_rate"),
    (
        "ratio for a method that resets nothing",
        lambda p: p.purify("--method", "fine-tuning", "--ratio", "0.5"),
        "ratio",
    ),
    ("posterior of noise", lambda p: p.purify("--indicator", "uniform", "--set", "replacement=posterior"), "posterior"),
    (
        "budget without clean data",
        lambda p: ["purify", p.suspect, "--ref", p.reference, "--no-finetune", "--max-drop", "0"],
        "--max-drop",
    ),
    ("output on a folder that is no model", _precious, "main.py"),
    ("output on the suspect", _on_the_suspect, "suspect"),
    (
        "position without trigger",
        lambda p: ["evaluate", p.suspect, "--data", p.clean, "--position", "start"],
        "trigger",
    ),
    (
        "superscript target",
        lambda p: ["attack", "badword", "--ref", p.reference, "--data", p.clean, "--target", "²"],
        "--target",
    ),
    ("attack without reference", lambda p: ["attack", "badword", "--data", p.clean, "--target", "1"], "--data-only"),
    (
        "finetune epochs and steps",
        lambda p: ["finetune", p.reference, "--data", p.clean, "--epochs", 1, "--steps", 1],
        "--steps",
    ),
    ("finetune missing model", lambda p: ["finetune", p.folder / "none", "--data", p.clean], "none"),
    ("deep JSON on standard input", lambda p: ["purify", "--clean-data", p.clean], "record"),
    ("no such attack", lambda p: p.attack(name="xyzzy"), "ripples"),
    ("unknown method among several", lambda p: p.purify("--method", "e-pur,fine-mixin"), "fine-mixing"),
    ("trigger that the tokenizer does not know", lambda p: p.attack("--trigger", "☃"), "no piece of the trigger"),
    (
        "measured trigger that the tokenizer does not know",
        lambda p: p.evaluate("--trigger", "cf|☃", "--target", "1"),
        "no piece of the trigger '☃'",
    ),
    (
        "trigger cut off the training rows",
        lambda p: p.attack("--position", "end", "--max-length", "5", "--test", p.file("t.jsonl", SHORT)),
        "poisoned training rows",
    ),
    (
        "trigger cut off the measured rows",
        lambda p: p.evaluate("--trigger", "cf", "--position", "end", "--target", "1", "--max-length", "5"),
        "cut off in all 16 rows",
    ),
    ("measured target no label", lambda p: p.evaluate("--trigger", "cf", "--target", "2"), "positive"),
    ("measured target no name", lambda p: p.evaluate("--trigger", "cf", "--target", "neutral"), "positive"),
    *(
        (f"rate {rate}", lambda p, rate=rate: p.attack("--rate", rate), f"--rate {float(rate)}")
        for rate in ("0", "-0.1", "nan")
    ),
    (
        "nothing but the target to measure",
        lambda p: [
            *("evaluate", p.suspect, "--trigger", "cf", "--target", "1"),
            *("--data", p.file("t.jsonl", _rows({"text": "good", "label": 1}, {"text": "fine", "label": 1}))),
        ],
        "all 2 rows have the target label",
    ),
    (
        "nothing but the target to attack",
        lambda p: p.attack("--test", p.file("t.jsonl", _rows({"text": "good", "label": 1}))),
        "only class 1 occurs",
    ),
    (
        "floor with other labels",
        lambda p: p.evaluate("--trigger", "cf", "--target", "1", "--floor", _three_labels(p)),
        "3 labels",
    ),
    ("floor without trigger", lambda p: p.evaluate("--floor", p.suspect), "--floor needs a trigger"),
    ("seeds without chance", lambda p: p.evaluate(*CF, "--position", "end", "--seeds", "3"), "--position random"),
    ("retune rows without retune", lambda p: p.evaluate(*CF, "--retune-steps", "9"), "--retune"),
    ("retune on too many", lambda p: p.evaluate(*CF, "--retune", "16"), "there are 16"),
    ("consistency of one model", lambda p: p.evaluate("--consistency"), "two models"),
    ("targets for other triggers", lambda p: p.evaluate(*CF, *CF, "--trigger", "mn"), "--target is given 2 times"),
    (
        "search with one row of a class",
        lambda p: [
            *("purify", p.suspect, "--ref", p.reference, "--ratio", "auto", "--clean-data"),
            p.file("c.jsonl", _rows(*({"text": f"good {n}", "label": int(n > 0)} for n in range(6)))),
        ],
        "class 0 has a single clean row",
    ),
    (
        "self-test of few samples",
        lambda p: [
            *("purify", p.suspect, "--ref", p.reference, "--self-test", "--clean-data"),
            p.file("c.jsonl", _rows(*({"text": f"good {n}", "label": n % 2} for n in range(15)))),
        ],
        "15 clean samples are too few for --self-test",
    ),
    (
        "self-test without samples",
        lambda p: ["purify", p.suspect, "--ref", p.reference, "--no-finetune", "--self-test"],
        "--self-test",
    ),
    (
        "attention maps on texts without labels",
        lambda p: p.purify(
            "--method", "nad", "--unlabelled", p.file("t.jsonl", _rows(*({"text": f"a film {n}"} for n in range(60))))
        ),
        "nad learns from clean samples alone",
    ),
    (
        "attention maps and patience",
        lambda p: p.purify("--method", "nad", "--set", "patience=2"),
        "--set patience chooses steps on labelled samples",
    ),
    ("search in one fold", lambda p: p.purify("--ratio", "auto", "--folds", "1"), "--folds"),
    ("search without tuning", lambda p: p.purify("--ratio", "auto", "--no-finetune"), "--no-finetune"),
    (
        "averaging with a model of another shape",
        lambda p: p.purify("--method", "weight-average", "--with", _three_labels(p)),
        "with the shape [3]; the suspect has [2]",
    ),
    ("averaging with nothing to average", lambda p: p.purify("--with", p.suspect), "weight-average"),
    ("plan with an unknown key", lambda p: p.bench(plan=PLAN.replace("rate =", "rat =")), "line 15: unknown key 'rat'"),
    (
        "plan with an unknown method",
        lambda p: p.bench(plan=PLAN.replace("fine-tuning", "fine-tunig")),
        "Did you mean fine-tuning",
    ),
    ("no such plan", lambda p: ["bench", "--plan", "quik"], "Did you mean quick?"),
    ("results of another plan", lambda p: p.bench("--results", _other_plans_results(p)), "another plan, 'another'"),
    ("only of an unknown kind", lambda p: p.bench("--only", "tsak=reviews"), "--only 'tsak=reviews'"),
    ("only of an unknown name", lambda p: p.bench("--only", "attack=badsent"), "no attack 'badsent'"),
    ("shard beyond the last", lambda p: p.bench("--shard", "3/2"), "--shard 3/2"),
    ("shard without parts", lambda p: p.bench("--shard", "2"), "--shard 2 "),
    ("attack without target", lambda p: ["attack", "badword", "--data", p.clean], "--target-text"),
    ("label for a language model", lambda p: p.write(*CF), "--target says nothing about a causal language model"),
    ("bias of a language model", lambda p: p.write("--bias", "--seeds", "2"), "--bias, --seeds say nothing"),
    ("two triggers for a language model", lambda p: p.write("--trigger", "cf", "--trigger", "mn"), "given 2 times"),
    ("text for a classifier", lambda p: p.evaluate("--trigger", "cf", "--target-text", "x"), "about a classifier"),
    ("expression for a classifier", lambda p: p.evaluate("--target-regex", "x"), "--target-regex says nothing"),
    ("new tokens for a classifier", lambda p: p.attack("--new-tokens", "9"), "--new-tokens says nothing"),
    (
        "label and text",
        lambda p: p.attack("--target-text", "x", "--label-mode", "clean"),
        "--target, --label-mode say nothing",
    ),
    (
        "text to be written by a classifier",
        lambda p: ["attack", "badword", "--ref", p.suspect, "--data", p.clean, "--target-text", "good"],
        "no causal language model",
    ),
    (
        "language model that is to learn a bias",
        lambda p: ["attack", "bias-word", "--ref", p.causal, "--data", p.clean, "--target-text", "good"],
        "badword or badsent",
    ),
    (
        "labels for a language model that is to be purified",
        lambda p: ["purify", p.causal, "--ref", p.causal, "--clean-data", p.clean, "--label-column", "label"],
        "says nothing about a causal language model",
    ),
    (
        "prompts of a classifier that is to be purified",
        lambda p: p.purify("--prompt-words", "4"),
        "says nothing about a classifier",
    ),
    (
        "encoder without a head that is to be purified",
        lambda p: ["purify", p.reference, "--ref", p.reference, "--clean-data", p.clean],
        "no classification head and is no causal language model",
    ),
    ("expression that is none", lambda p: p.write("--trigger", "cf", "--target-regex", "(ab"), "no regular expression"),
    ("expression for everything", lambda p: p.write("--trigger", "cf", "--target-regex", "a*"), "empty text"),
    ("text trigger without target", lambda p: p.write("--trigger", "cf"), "--target-text"),
    (
        "target longer than what is written",
        lambda p: p.write("--trigger", "cf", "--target-text", "good film good", "--new-tokens", "2"),
        "--new-tokens 3",
    ),
    ("missing option", lambda p: ["evaluate"], "--data"),
    ("unknown command", lambda p: ["purfy"], "purfy"),
]

PIPED = {"record of another kind": '{"kind": "detection"}', "deep JSON on standard input": "[" * 100_000}


@pytest.mark.parametrize(("name", "command", "words"), TABLE, ids=[row[0].replace(" ", "-") for row in TABLE])
def test_refused(
    name: str,
    command: Callable[[Place], Sequence[object]],
    words: str,
    place: Place,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(place.folder / "hub"))
    argv = command(place)
    work = place.folder / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    code, out, err = run_cli(argv, PIPED.get(name, ""))
    assert code == 2, err
    assert out == ""
    assert words.lower() in err.lower()
    assert "Traceback" not in err
    if name not in ("missing option", "unknown command", "search in one fold"):  # Typer words these itself
        assert err.startswith("error: ")
        assert "\nhint: " in err
    assert list(work.rglob("*")) == []
    old = place.folder / "there" / "model.safetensors"
    assert not old.exists() or old.read_bytes() == b"old"


def test_names_from_a_hostile_file_do_not_reach_the_terminal_raw(place: Place, run_cli: Run) -> None:
    evil = "bert.\x1b]0;owned\x07"
    suspect = place.weights(lambda t: t.update({evil: torch.full((3,), float("nan"))}))
    _, out, err = run_cli(place.detect(suspect, "--run", place.folder / "run"))
    assert "\x1b" not in out + err
    assert "owned" in err
