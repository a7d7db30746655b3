"""JSON files: one object per line, one array of objects, or objects over several lines."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from purify_cli.data.rows import Row, shown
from purify_cli.errors import DataError

__all__ = ["json_rows"]

SPACE: Final = re.compile(r"[ \t\r\n]*")
"""What JSON allows between values."""

SHAPES: Final = 'Give one object per line, like {"text": "…", "label": 0}, or one array of such objects.'


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{shown(name)} comes twice")
    return made


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object)


def _value(text: str, place: int) -> tuple[Any, int]:
    """Decode the value that begins at a place; return it and where it ends.

    Raises:
        JSONDecodeError: If it is not JSON.
        ValueError: If it cannot be used for another reason; the message is a clause fit for "line 3: …".
    """
    try:
        return _DECODER.raw_decode(text, place)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:
        long = str(error).startswith("Exceeds the limit")  # of digits that Python turns into an integer
        raise ValueError("a number has too many digits" if long else str(error)) from error


def _row(where: str, value: Any) -> Row:
    if isinstance(value, dict):
        return Row(where, value)
    return Row(where, {}, f'a JSON {type(value).__name__}, not an object like {{"text": …}}')


def _after_space(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place


def _lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        begin = _after_space(line, 0)
        if begin == len(line):
            continue
        where = f"line {number}"
        try:
            value, end = _value(line, begin)
            if _after_space(line, end) < len(line):
                raise json.JSONDecodeError("Extra data", line, end)
            yield _row(where, value)
        except json.JSONDecodeError as error:
            yield Row(where, {}, f"not JSON at column {error.colno} ({error.msg})")
        except ValueError as error:
            yield Row(where, {}, str(error))


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _within(text: str, place: int, given: str) -> tuple[Any, int]:
    """Decode a value of a file that has no rows once one of them is broken: nothing tells where the next begins."""
    try:
        return _value(text, place)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{given}, line {error.lineno}: not JSON at column {error.colno} ({error.msg})", hint=SHAPES
        ) from error
    except ValueError as error:
        raise DataError(f"{given}, line {_line(text, place)}: {error}", hint=SHAPES) from error


def _array(text: str, place: int, given: str) -> Iterator[Row]:
    """Yield the entries of the array that begins at a place and must be the whole file."""
    place = _after_space(text, place + 1)
    number, sign = 0, text[place : place + 1]
    while sign != "]":
        number += 1
        value, end = _within(text, place, given)
        yield _row(f"row {number}", value)
        end = _after_space(text, end)
        sign = text[end : end + 1]
        if sign not in ("]", ","):
            raise DataError(
                f"{given}, line {_line(text, end)}: the JSON array breaks off after {number} entries", hint=SHAPES
            )
        place = _after_space(text, end + 1) if sign == "," else end
    if _after_space(text, place + 1) < len(text):
        raise DataError(
            f"{given}, line {_line(text, _after_space(text, place + 1))}: there is more after a JSON array", hint=SHAPES
        )


def _objects(text: str, place: int, given: str) -> Iterator[Row]:
    """Yield values that follow each other, however they are laid out over lines."""
    while place < len(text):
        value, end = _within(text, place, given)
        yield _row(f"line {_line(text, place)}", value)
        place = _after_space(text, end)


def _goes_over_lines(text: str, place: int) -> bool:
    """Tell whether the first value of a file is sound and ends on a later line than it begins on."""
    try:
        return "\n" in text[place : _value(text, place)[1]] or "\n" not in text.strip()
    except ValueError:
        return False


def json_rows(text: str, given: str) -> list[Row]:
    """Read a JSON file.

    Args:
        text: One object per line, of which each can be malformed by itself; one array of objects; or objects that go
            over several lines.
        given: The file, for messages.

    Raises:
        DataError: If it is an array or a sequence of objects and broken, or one object that holds rows.
    """
    begin = _after_space(text, 0)
    if text.startswith("[", begin):
        return list(_array(text, begin, given))
    rows = list(_objects(text, begin, given) if _goes_over_lines(text, begin) else _lines(text))
    if len(rows) == 1:
        _refuse_wrapped(rows[0].values, given)
    return rows


def _refuse_wrapped(values: dict[str, Any], given: str) -> None:
    """Refuse a file that is one object around its rows."""
    nested = {name: value for name, value in values.items() if isinstance(value, dict | list) and value}
    around = [name for name, value in nested.items() if isinstance(value, list) and isinstance(value[0], dict)]
    if around or (nested and len(nested) == len(values)):
        name = next(iter(around or nested))
        kind = "an object" if isinstance(nested[name], dict) else f"a list of {len(nested[name])}"
        raise DataError(f"{given} is one JSON object whose {name!r} holds {kind}, not rows", hint=SHAPES)
