"""Tokenizers compared by meaning: what text they turn into which numbers, not how their files are spelt.

Padding and truncation are left out: they are the state of the last call, saved along. What a tokenizer does with texts,
as transformers loads it, is compared elsewhere (``model.suspect_tokenizer``); here is which part of which file differs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from purify_cli.checkpoint.difference import Difference, shown
from purify_cli.checkpoint.jsonfiles import LONGEST_TEXT, read_json
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.safe_open import listed
from purify_cli.errors import CheckpointError, printable

__all__ = ["tokenizer_differences"]

PARTS: Final = ("normalizer", "pre_tokenizer", "post_processor", "decoder")

USUAL: Final[Mapping[str, Any]] = {"max_input_chars_per_word": 100, "continuing_subword_prefix": "##"}
"""What a missing key of a tokenizer's model means, where it is neither null, false nor empty."""

FLAGS: Final = ("special", "lstrip", "rstrip", "single_word", "normalized")
"""Where an added token is looked for."""

SILENT: Final = frozenset(
    """
    added_tokens_decoder additional_special_tokens auto_map backend chat_template clean_up_tokenization_spaces
    device_map extra_special_tokens is_local local_files_only max_length model_input_names name_or_path
    pad_to_multiple_of pad_token_type_id padding padding_side processor_class special_tokens_map_file stride
    tokenizer_class tokenizer_file transformers_version trust_remote_code truncation truncation_strategy vocab_file
    """.split()  # noqa: SIM905 - a block of words is read at a glance
)
"""Settings of tokenizer_config.json that describe, that are the state of a call, or that are compared by themselves.
Every other one is compared where both sides state it: versions differ in what they write down."""

GENERIC: Final = frozenset({"PreTrainedTokenizer", "Tokenizers", "TokenizersBackend", "PythonBackend"})
"""Classes that do as the files say, in the place of a model's own."""

VERSIONED: Final = re.compile(r"tokenizer\.\d.*\.json")
"""A tokenizer.json for one version of transformers and later ones."""

EXAMPLES: Final = 5
"""Tokens that a difference names."""


def tokenizer_differences(suspect: Checkpoint, reference: Checkpoint) -> Iterator[Difference]:
    """Yield how the suspect's tokenizer reads text differently from the reference's.

    Nothing is yielded where one side has no tokenizer. The suspect's is never used for anything but this.
    """
    ours, theirs = suspect.files.tokenizer, reference.files.tokenizer
    if ours is None or theirs is None or ours == theirs:
        return
    yield from _for_other_versions(ours)
    try:
        one = _load(ours)
    except CheckpointError as error:
        yield Difference(kind="tokenizer", subject="files", detail=str(error))
        return
    other = _load(theirs)
    yield from _vocabulary(one["vocabulary"], other["vocabulary"])
    for key in sorted((one.keys() & other.keys()) - {"vocabulary", "merges"}):
        if one[key] != other[key]:
            yield Difference(kind="tokenizer", subject=key, detail=_first_difference(one[key], other[key]))
    if one["merges"] and other["merges"] and one["merges"] != other["merges"]:
        count = sum(1 for a, b in zip(one["merges"], other["merges"], strict=False) if a != b)
        count += abs(len(one["merges"]) - len(other["merges"]))
        yield Difference(kind="tokenizer", subject="merges", detail=f"{count} merges differ")


def _for_other_versions(folder: Path) -> Iterator[Difference]:
    """Yield the files that other versions of transformers than the one here may read in place of tokenizer.json."""
    for name in listed(folder):
        if VERSIONED.fullmatch(name):
            detail = "is read in the place of tokenizer.json by some versions of transformers"
            yield Difference(kind="tokenizer", subject=printable(name), detail=detail, unexamined=True)


def _vocabulary(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Difference]:
    if not ours or not theirs:
        return
    added = [token for token in ours if token not in theirs]
    gone = [token for token in theirs if token not in ours]
    moved = [token for token, number in ours.items() if token in theirs and theirs[token] != number]
    for tokens, what in ((added, "added"), (gone, "missing"), (moved, "with another number")):
        if tokens:
            examples = ", ".join(shown(token) for token in tokens[:EXAMPLES])
            yield Difference(
                kind="tokenizer",
                subject="vocabulary",
                detail=f"{len(tokens)} tokens {what}: {examples}{', …' * (len(tokens) > EXAMPLES)}",
            )


def _first_difference(left: Any, right: Any, place: str = "") -> str:
    """Return where two pieces of plain data part, and what is there on both sides."""
    if isinstance(left, dict) and isinstance(right, dict):
        key = next(key for key in [*left, *right] if left.get(key) != right.get(key))
        return _first_difference(left.get(key), right.get(key), f"{place}{key}: ")
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return next(_first_difference(a, b, place) for a, b in zip(left, right, strict=True) if a != b)
    return f"{place}{shown(left)}, in the reference {shown(right)}"


def _load(folder: Path) -> dict[str, Any]:
    """Read what a tokenizer means: part → plain data, equal for equal meaning.

    A part that the files say nothing about is absent: versions differ in what they write down.
    """
    meaning: dict[str, Any] = {"vocabulary": {}, "merges": []}
    settings = _optional(folder / "tokenizer_config.json")
    if (folder / "tokenizer.json").is_file():
        raw = read_json(folder / "tokenizer.json")
        model = raw["model"] if isinstance(raw.get("model"), dict) else {}
        meaning["vocabulary"] = _table(model.get("vocab"))
        meaning["merges"] = [
            one if isinstance(one, str) else " ".join(map(str, _items(one))) for one in _items(model.get("merges"))
        ]
        meaning |= {part: _dense(raw.get(part)) for part in PARTS}
        rest = {key: value for key, value in model.items() if key not in {"type", "vocab", "merges"}}
        meaning["model"] = {key: value for key, value in rest.items() if value and USUAL.get(key) != value}
        added = [one for one in _items(raw.get("added_tokens")) if isinstance(one, dict)]
        # Added tokens are listed apart or within the vocabulary; either way they are part of it.
        meaning["vocabulary"] |= {str(one.get("content")): one.get("id") for one in added}
        meaning["added tokens"] = {str(one.get("content")): [flag for flag in FLAGS if one.get(flag)] for one in added}
    elif (folder / "vocab.txt").is_file():
        meaning["vocabulary"] = {token: at for at, token in enumerate(_text(folder / "vocab.txt").split("\n")) if token}
    elif (folder / "vocab.json").is_file():
        meaning["vocabulary"] = read_json(folder / "vocab.json")
        if (folder / "merges.txt").is_file():
            lines = _text(folder / "merges.txt").split("\n")
            meaning["merges"] = [line for line in lines if line and not line.startswith("#version")]
    specials = _optional(folder / "special_tokens_map.json") | settings
    for key, value in specials.items():
        if _names_token(key):
            meaning[key] = value.get("content") if isinstance(value, dict) else value
    meaning |= {key: settings[key] for key in settings.keys() - SILENT if not _names_token(key)}
    named = settings.get("tokenizer_class")
    if isinstance(named, str) and (name := named.removesuffix("Fast")) not in GENERIC:
        meaning["tokenizer_class"] = name
    template = settings.get("chat_template")
    if (folder / "chat_template.jinja").is_file():
        template = _text(folder / "chat_template.jinja")
    meaning["chat template"] = template
    return meaning


def _names_token(key: str) -> bool:
    return key.endswith("_token") and not key.startswith("add_")


def _table(vocabulary: Any) -> dict[str, Any]:
    if isinstance(vocabulary, dict):
        return dict(vocabulary)
    # Unigram models list (token, log probability); the number is the place.
    return {str(one[0]): at for at, one in enumerate(_items(vocabulary)) if isinstance(one, list) and one}


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else []


def _dense(value: Any) -> Any:
    """Drop what is null: versions differ in whether they write it down."""
    if isinstance(value, dict):
        return {key: _dense(inner) for key, inner in value.items() if inner is not None}
    return [_dense(inner) for inner in value] if isinstance(value, list) else value


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LONGEST_TEXT:
            raise CheckpointError(f"{path} is larger than {LONGEST_TEXT >> 20} MiB", hint="No such file is that long.")
        return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read as text", hint="Get the file again from its source.") from error
