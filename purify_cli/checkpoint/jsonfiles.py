"""JSON files that are not trusted."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from purify_cli.checkpoint.safe_open import open_regular
from purify_cli.errors import CheckpointError

__all__ = ["LONGEST_TEXT", "is_unicode", "json_items", "read_json", "read_json_value"]

DEEPEST: Final = 50
"""Levels of nesting in a JSON file; real ones have under ten. Deeper ones exhaust the stack of whoever walks them."""

SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""How JSON spells one."""

LONGEST_TEXT: Final = 64 << 20
"""Bytes of the longest JSON file read; the largest tokenizers have about 30 MB."""

MOST_CONTAINERS: Final = 4 << 20
"""Lists and tables in a JSON file. Each empty one takes 3 bytes of the file and over 60 of memory; the largest
tokenizers have a million."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file that is not trusted.

    Raises:
        CheckpointError: If it is no ordinary file, too long, not UTF-8, not JSON or no object.
    """
    table = read_json_value(path)
    if not isinstance(table, dict):
        raise CheckpointError(f"{path} holds no JSON object", hint="Get the file again from its source.")
    return table


def read_json_value(path: Path) -> Any:
    """Read whatever JSON a file holds that is not trusted.

    Raises:
        CheckpointError: If it is no ordinary file, too long, not UTF-8, not JSON or nested too deeply.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            data = file.read(LONGEST_TEXT + 1)
        if len(data) > LONGEST_TEXT:
            raise CheckpointError(f"{path} is larger than {LONGEST_TEXT >> 20} MiB", hint="No such file is that long.")
        if data.count(b"[") + data.count(b"{") > MOST_CONTAINERS:
            raise CheckpointError(f"{path} holds millions of lists", hint="Get the file again from its source.")
        text = data.decode()
        table = json.loads(text)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}", hint="Check the path and its permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON", hint="Get the file again from its source.") from error
    level: list[Any] = [table] if isinstance(table, dict | list) else []
    for _ in range(DEEPEST):
        inner = (value for one in level for value in (one.values() if isinstance(one, dict) else one))
        level = [value for value in inner if isinstance(value, dict | list)]
    if level:
        raise CheckpointError(f"{path} is nested too deeply", hint="Get the file again from its source.")
    # JSON can escape halves of a surrogate pair, which no text file can hold: a record that quotes one could not be
    # written. Without such an escape there is nothing to look for.
    if SURROGATE.search(text) and not is_unicode(json.dumps(table, ensure_ascii=False)):
        raise CheckpointError(f"{path} holds text that is no valid Unicode", hint="Get the file again from its source.")
    return table


def json_items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a JSON value with what it stands for, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from json_items(inner)


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written to a file, which lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
