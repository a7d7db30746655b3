"""Tokenizers tried in processes of their own: run as a script by ``tokenizer_sandbox``, never imported.

A tokenizer's files can make native code abort, loop or ask for more memory than there is. That ends the process that
tried them and nothing else: this one only imports the library, which takes a second, and forks for every request. A
request is a line of JSON on standard input, its answer one on what was standard output, empty or cut off where the
process was ended::

    {"folder": ..., "texts": [text or [text, pair], ...], "memory": bytes, "seconds": CPU seconds, "patience": seconds}
    {"inputs": [[[token ids], [type ids] or null], ...], "vocabulary": {token: id}, "added": [[id, {...}], ...]}
    or  {"error": ...}

Only transformers' tokenizers are imported: torch, which they do not need, would take twice as long to start.
"""

import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from importlib.machinery import ModuleSpec
from math import prod
from typing import Any, Final

__all__ = ["main"]

HIDDEN: Final = frozenset({"torch", "accelerate", "datasets", "pandas", "peft", "scipy", "sklearn", "torchvision"})
"""Packages that transformers imports where they are installed, and that tokenizers do without."""

GROWTH: Final = 32
"""Most tokens per byte of a text: Unicode's own rules make 18 characters of one at most."""

LONGER: Final = 1000
"""Most characters that normaliser or decoder may make of one: real ones replace one sign by another, or by three."""

AROUND: Final = 1024
"""Most special tokens around a text."""

SLICE: Final = 1024
"""Texts handed to the tokenizer at once."""


TOO_LONG: Final = "loading it and encoding a few texts takes too long"


class _Hidden:
    """Makes packages look as if they were not installed."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"{name} is left out here", name=name)
        return None


def _hide() -> None:
    asked = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name in HIDDEN else asked(name, package)
    sys.meta_path.insert(0, _Hidden())  # pyright: ignore[reportArgumentType] - all that the import system calls


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    requests = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)  # native code prints there, which would end up among the answers
    _hide()
    import transformers  # noqa: PLC0415 - after what it must not find is hidden

    for request in requests:
        answers.write(_apart(transformers.AutoTokenizer, json.loads(request)) + b"\n")
        answers.flush()


def _apart(loader: Any, request: dict[str, Any]) -> bytes:
    """Answer one request in a process that it may bring down."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _try(loader, request, writing)
        finally:
            os._exit(0)  # nothing that a tokenizer left behind is given a chance to run
    os.close(writing)
    answer, ended = _received(reading, time.monotonic() + request["patience"])
    os.close(reading)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return answer.replace(b"\n", b"") if ended else json.dumps({"error": TOO_LONG}).encode()


def _try(loader: Any, request: dict[str, Any], writing: int) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, request["memory"])
    _limit(resource.RLIMIT_CPU, request["seconds"])
    try:
        answer = _examined(loader, request["folder"], request["texts"])
    except BaseException as error:
        answer = {"error": " ".join((str(error) or repr(error)).split())[:200]}
    with os.fdopen(writing, "w", encoding="utf-8") as out:
        json.dump(answer, out)


def _received(reading: int, deadline: float) -> tuple[bytes, bool]:
    """Return what a pipe brings until its other end is closed, and whether that was in time."""
    parts: list[bytes] = []
    while (left := deadline - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            part = os.read(reading, 1 << 16)
            if not part:
                return b"".join(parts), True
            parts.append(part)
    return b"", False


def _limit(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (limit, limit))


def _examined(loader: Any, folder: str, texts: list[Any]) -> dict[str, Any]:
    tokenizer = loader.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    backend = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {}
    if max(_growth(backend.get("normalizer")), _growth(backend.get("decoder"))) > LONGER:
        raise ValueError(f"it replaces a sign by more than {LONGER}")
    inputs: list[Any] = [None] * len(texts)
    for kind in (str, list):
        places = [place for place, text in enumerate(texts) if isinstance(text, kind)]
        for start in range(0, len(places), SLICE):
            part = places[start : start + SLICE]
            made = tokenizer([texts[place] for place in part], truncation=False, padding=False, verbose=False)
            types = made.get("token_type_ids") or [None] * len(part)
            for place, ids, type_ids in zip(part, made["input_ids"], types, strict=True):
                size = len("".join(texts[place]).encode())
                if len(ids) > GROWTH * size + AROUND:
                    raise ValueError(f"it makes {len(ids)} tokens of {size} bytes of text")
                inputs[place] = [ids, type_ids]
    flags = ("special", "lstrip", "rstrip", "single_word", "normalized")
    added = [
        (number, {"content": one.content} | {flag: bool(getattr(one, flag)) for flag in flags})
        for number, one in sorted(tokenizer.added_tokens_decoder.items())
    ]
    return {"inputs": inputs, "vocabulary": tokenizer.get_vocab(), "added": added}


def _growth(part: Any) -> int:
    """Return how many characters a normaliser or decoder can make of one, replacement by replacement."""
    if not isinstance(part, dict):
        return 1
    inner = [_growth(one) for key in ("normalizers", "decoders") for one in part.get(key) or ()]
    own = max(len(str(part.get(key, ""))) for key in ("content", "prepend"))
    return prod(inner, start=max(1, own))


if __name__ == "__main__":
    main()
