"""Tokenizers that are not trusted: tried in a process of their own, under limits, before they are used in this one."""

import atexit
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, final

from transformers import AddedToken

from purify_cli.checkpoint.filenames import CONFIG, is_tokenizer_file
from purify_cli.checkpoint.layout import CheckpointFiles
from purify_cli.errors import CheckpointError
from purify_cli.model.hard_texts import HARD_TEXTS

__all__ = ["Examined", "Text", "check_tokenizer", "examine_tokenizer", "tokenizer_digest"]

Text = str | tuple[str, str]
"""A text, or a pair of texts."""

MEMORY: Final = 1 << 30
"""Bytes that a small tokenizer may take. Ours: the libraries themselves take a seventh of it."""

MEMORY_PER_BYTE: Final = 64
"""Bytes more per byte of its files. The largest tokenizers (250,000 tokens, 17 MB) take about 40 when they load."""

SECONDS: Final = 20
"""CPU seconds of a small tokenizer, besides the start of the process. Ours."""

SECONDS_PER_MEGABYTE: Final = 4
"""CPU seconds more per MB of its files: converting SentencePiece files takes longest, about a second per MB."""

PATIENCE: Final = 15
"""Seconds of waiting per CPU second allowed: the machine may be busy with other things."""

VERSIONED: Final = re.compile(r"tokenizer\..*\.json")
"""A tokenizer.json for one version of transformers and later ones."""

LARGEST: Final = 128 << 20
"""Bytes of the largest such file."""

HINT: Final = "Use the tokenizer files and the config.json that were published with the model."

SENTENCEPIECE: Final = ("spm.model", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
"""Vocabularies that transformers converts with the help of ``PACKAGES`` where tokenizer.json is not there."""

PACKAGES: Final = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}
"""Module → the package that brings it."""

_answers: dict[tuple[str, str], dict[str, Any]] = {}
"""By digests of files and texts: the same is not examined twice."""

_sound: set[str] = set()
"""Digests of files that passed ``check_tokenizer``."""


@final
@dataclass(frozen=True, slots=True)
class Examined:
    """What a tokenizer does, as transformers loads it from its folder."""

    inputs: tuple[tuple[tuple[int, ...], tuple[int, ...] | None], ...]
    """Per text: token ids with the special ones, and type ids where it gives any."""
    vocabulary: dict[str, int]
    """Token → id, added ones included."""
    added: Mapping[int, AddedToken]
    """Id → a token beside the vocabulary, and where it is looked for."""


def tokenizer_digest(files: CheckpointFiles, *, config: bool = True) -> str:
    """Hash the files that transformers may read when it loads a tokenizer.

    Args:
        files: Whose folder.
        config: Whether config.json counts, which may name the tokenizer's class.
    """
    digest = hashlib.sha256()
    for path in _read_files(files):
        if config or path.name != CONFIG:
            content = path.read_bytes()
            digest.update(f"{path.name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()


def _read_files(files: CheckpointFiles) -> list[Path]:
    if files.tokenizer is None:
        return []
    with os.scandir(files.tokenizer) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if (entry.name == CONFIG or is_tokenizer_file(entry.name) or VERSIONED.fullmatch(entry.name))
            and entry.is_file()
            and entry.stat().st_size <= LARGEST
        )


def check_tokenizer(files: CheckpointFiles, texts: Sequence[Text] = ()) -> None:
    """Refuse a tokenizer that cannot be loaded or that fails on hard texts, without loading it in this process.

    Args:
        files: Whose tokenizer; it must have one.
        texts: Some of those that it is going to be used on.

    Raises:
        CheckpointError: As ``examine_tokenizer``.
    """
    digest = tokenizer_digest(files)
    if texts or digest not in _sound:
        examine_tokenizer(files, [*HARD_TEXTS, ("a good film", "a bad one"), *texts])
        _sound.add(digest)


def examine_tokenizer(files: CheckpointFiles, texts: Sequence[Text]) -> Examined:
    """Load a tokenizer and encode texts with it, in a process that it may bring down.

    Args:
        files: Whose tokenizer; it must have one.
        texts: To be encoded, whole and with special tokens.

    Raises:
        CheckpointError: If it cannot be loaded, fails on a text, or takes more time or memory than its size warrants.
    """
    _require_packages(files)
    asked = json.dumps(list(texts))
    key = (tokenizer_digest(files), hashlib.sha256(asked.encode()).hexdigest())
    if key not in _answers:
        _answers[key] = _answer(files, asked)
    answer = _answers[key]
    if "error" in answer:
        raise CheckpointError(f"the tokenizer in {files.tokenizer} cannot be used: {answer['error']}", hint=HINT)
    return Examined(
        tuple((tuple(ids), None if types is None else tuple(types)) for ids, types in answer["inputs"]),
        answer["vocabulary"],
        {number: AddedToken(**one) for number, one in answer["added"]},
    )


def _answer(files: CheckpointFiles, texts: str) -> dict[str, Any]:
    size = sum(path.stat().st_size for path in _read_files(files))
    seconds = SECONDS + SECONDS_PER_MEGABYTE * (size >> 20)
    limits = {"memory": MEMORY + MEMORY_PER_BYTE * size, "seconds": seconds}
    request = {"folder": str(files.tokenizer), "texts": json.loads(texts), "patience": PATIENCE * seconds} | limits
    try:
        return json.loads(_children().ask(json.dumps(request)))
    except (ValueError, OSError):
        # The process was ended: by native code, for want of memory, or for having used up its time.
        return {"error": "loading it or encoding a few texts crashes, or takes too much memory or time"}


@final
class _Children:
    """The process that forks others in which tokenizers are tried."""

    def __init__(self) -> None:
        quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("tokenizer_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | quiet,
        )
        self._owner = os.getpid()
        atexit.register(self._end)

    @property
    def usable(self) -> bool:
        """Whether it runs and is this process's own, not that of one that this was forked from."""
        return self._owner == os.getpid() and self._process.poll() is None

    def ask(self, request: str) -> bytes:
        """Return the answer to a line, empty where there is none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(request.encode() + b"\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except BaseException:
            # An answer that nobody read would be taken for that of the next request.
            self._process.kill()
            self._process.wait()
            raise

    def _end(self) -> None:
        if self.usable:
            self._process.communicate()


_running: list[_Children] = []
"""At most one, started when it is first needed."""


def _children() -> _Children:
    if not _running or not _running[0].usable:
        _running[:] = [_Children()]
    return _running[0]


def _require_packages(files: CheckpointFiles) -> None:
    """Refuse a SentencePiece vocabulary where nothing can read it.

    Raises:
        CheckpointError: With the names of the packages that are missing.
    """
    assert files.tokenizer is not None
    found = next((name for name in SENTENCEPIECE if (files.tokenizer / name).is_file()), None)
    if found is None or (files.tokenizer / "tokenizer.json").is_file():
        return
    missing = [package for module, package in PACKAGES.items() if not _installed(module)]
    if missing:
        raise CheckpointError(
            f"the tokenizer in {files.tokenizer} is in {found}, and to read it "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            hint=f"pip install {' '.join(missing)}, or put a tokenizer.json beside it.",
        )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
