"""What lies in a model's folder besides weights, configuration and tokenizer: programs, requests to run some, the rest.

Nothing is run or imported. What everybody who loads models knows to be inert is left out: texts, pictures, licences,
what trainers and sentence-transformers leave behind.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from purify_cli.checkpoint.difference import Difference, shown
from purify_cli.checkpoint.filenames import CONFIG, is_tokenizer_file, is_weight_file
from purify_cli.checkpoint.jsonfiles import json_items, read_json_value
from purify_cli.checkpoint.layout import CheckpointFiles
from purify_cli.checkpoint.model_folder import SAVED
from purify_cli.checkpoint.safe_open import open_regular
from purify_cli.errors import CheckpointError, printable

__all__ = ["CODE_KEYS", "LISTED", "companions", "walk"]

CODE_KEYS: Final = ("auto_map", "custom_generate", "custom_pipelines", "trust_remote_code")
"""Keys, at any depth of any JSON file, that ask a loader to run code that comes with the model."""

CODE: Final = re.compile(
    r".*\.(py[cdiowxz]?|pyz|ipynb|so(\.\d+)*|dylib|dll|exe|com|o|a|sh|bash|zsh|fish|ps1|bat|cmd|js|mjs|ts|rb|pl|lua|jar"
    r"|class|wasm|whl|egg|cu|cuh|c|cc|cpp|h|hpp|rs|go|ptx|cubin)|makefile|dockerfile|setup\.cfg|pyproject\.toml"
)
"""Names, in small letters, of programs and of what programs are built from."""

MAGIC: Final = {
    "a compiled program": (
        b"\x7fELF",
        b"MZ",
        b"\xcf\xfa\xed\xfe",
        b"\xce\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
        b"\x00asm",
    ),
    "a script": b"#!",
    "an archive": (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"),
    "a pickle": (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
}
"""First bytes of files that can be run or that hold what can."""

LOADED: Final = re.compile(
    r".*\.(pkl|pickle|joblib|dill|npy|npz|tar|zip|gz|tgz|bz2|xz|zst|7z|jinja2?|model|spm|tiktoken)"
)
"""Names of files that somebody may load with the model."""

INERT: Final = re.compile(
    r"(readme|license|licence|notice|copying|citation|changelog|authors|model_card|use_policy|acceptable_use_policy)"
    r"[\w.\-]*"
    r"|\.git(attributes|ignore|keep)|\.ds_store|cachedir\.tag"
    r"|.*\.(md|rst|png|jpe?g|gif|svg|webp|pdf|bib|log|csv|tsv|lock|metadata|html|css|yaml|yml)"
    r"|(training_args|optimizer|scheduler|scaler|sampler|rng_state|random_states)(_\d+)*\.(bin|pt|pth|pkl)"
    r"|(trainer_state|training_args|all_results|(train|eval|test|predict)_results|run_config|generation_config"
    r"|(pre)?processor_config|config_sentence_transformers|sentence_bert_config|modules|purification|label_map)\.json"
    r"|events\.out\.tfevents\..*|requirements(-\w+)?\.txt|(eval|test|predict)\w*\.txt|latest|zero_to_fp32\.log"
    r"|training_state\.json"
)
"""Names, in small letters, of files from which nothing is loaded but what is examined: texts, pictures, what trainers
leave behind, settings of pre-processing and generation (whose keys are looked at all the same)."""

SENTENCE_PART: Final = re.compile(
    r"\d+_(Pooling|Dense|Normalize|LayerNorm|Dropout|CNN|LSTM|BoW|WordWeights)/config\.json"
)
"""Settings of a module of sentence-transformers."""

TOLD_ELSEWHERE: Final = re.compile(r"adapter_config\.json|(config|tokenizer)\.\d.*\.json")
"""Names of files that other differences are about."""

SKIPPED_FOLDERS: Final = frozenset({".git"})
DEEPEST: Final = 6
"""Levels of folders that are looked at."""

MOST: Final = 2000
"""Files that are looked at. Ours: the fullest model repositories have some hundreds."""

LISTED: Final = 50
"""Differences about files that a report lists."""


def companions(files: CheckpointFiles) -> Iterator[Difference]:
    """Yield programs in a model's folder, requests to run some, and files that are neither known nor inert.

    Nothing is yielded for a file that the user named and that lies in no model folder.
    """
    if files.lone:
        return
    listed = 0
    for place, entry in walk(files.folder):
        if entry is None:
            yield Difference(
                kind="file", subject=place, detail="was not looked into: too much is in it", unexamined=True
            )
            return
        for one in _about(place, Path(entry.path)):
            listed += 1
            if listed > LISTED:
                yield Difference(kind="file", subject=place, detail="and what follows is not listed", unexamined=True)
                return
            yield one


def walk(folder: Path) -> Iterator[tuple[str, "os.DirEntry[str] | None"]]:
    """Yield every file with its place in the folder; None in the place of what is too much."""
    waiting: list[tuple[str, Path, int]] = [("", folder, 0)]
    seen = 0
    while waiting:
        prefix, place, depth = waiting.pop()
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                seen += 1
                inner = f"{prefix}{entry.name}"
                if seen > MOST or depth >= DEEPEST:
                    yield printable(inner), None
                    return
                if not entry.is_dir(follow_symlinks=False):
                    yield inner, entry
                elif entry.name not in SKIPPED_FOLDERS:
                    waiting.append((f"{inner}/", Path(entry.path), depth + 1))


def _about(place: str, path: Path) -> Iterator[Difference]:
    """Yield what there is to say of one file."""
    name, subject = path.name.lower(), printable(place)
    folder = place.partition("/")[0]
    known = (folder == place or SAVED.fullmatch(folder)) and (path.name == CONFIG or is_tokenizer_file(path.name))
    if CODE.fullmatch(name) and not INERT.fullmatch(name):
        yield _code(subject, "a program lies beside the weights; it is not run")
        return
    if name.endswith(".json"):
        yield from _requests(subject, path)
    if known or is_weight_file(name) or any(one.fullmatch(name) for one in (INERT, TOLD_ELSEWHERE)):
        return
    if SENTENCE_PART.fullmatch(place):
        return
    if path.is_symlink() and path.is_dir():
        yield Difference(kind="file", subject=subject, detail="a link to a folder, not followed", unexamined=True)
        return
    what = _kind_of(path)
    if what in {"a script", "a compiled program"}:
        yield _code(subject, f"{what} lies beside the weights; it is not run")
    else:
        loaded = what is not None or LOADED.fullmatch(name) is not None
        detail = f"{what or 'a file'} that is no known part of a model"
        yield Difference(kind="file", subject=subject, detail=detail, unexamined=loaded)


def _code(subject: str, detail: str) -> Difference:
    return Difference(kind="code", subject=subject, detail=detail, unexamined=True)


def _requests(subject: str, path: Path) -> Iterator[Difference]:
    """Yield the keys of a JSON file that ask for code."""
    if not path.is_file():
        return
    try:
        table = read_json_value(path)
    except CheckpointError as error:
        if not is_tokenizer_file(path.name):  # told where tokenizers are compared
            loaded = path.name.endswith("config.json")
            yield Difference(kind="file", subject=subject, detail=printable(str(error)), unexamined=loaded)
        return
    modules = path.name == "modules.json"
    for key, value in json_items(table):
        known = isinstance(value, str) and value.startswith("sentence_transformers.")
        if (modules and key == "type" and not known) or (key in CODE_KEYS and value):
            yield _code(f"{subject}: {printable(key)}", f"asks to run code: {shown(value)}")


def _kind_of(path: Path) -> str | None:
    """Tell by its first bytes whether a file can be run or holds what can; None where it does not seem so."""
    try:
        descriptor = open_regular(path)
    except CheckpointError:
        return "something that cannot be opened"
    try:
        start = os.read(descriptor, 8)
    finally:
        os.close(descriptor)
    return next((what for what, magic in MAGIC.items() if start.startswith(magic)), None)
