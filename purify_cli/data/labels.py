"""From what stands in a label column to class numbers."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from purify_cli.data.class_names import listed, named, place_of, placeholder
from purify_cli.data.rows import shown
from purify_cli.errors import DataError

__all__ = ["class_index", "label_reader"]

NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.0*)?", re.ASCII)
"""How text formats write a class number."""

LARGEST: Final = 10**18
"""Numbers of that size are no class numbers; floats of it are integers all of them."""

TRUTH: Final = {"false": 0, "true": 1}


def _number(value: Any) -> int | None:
    """Return the class number that a value is; None for anything else, truth values among it."""
    if isinstance(value, str):
        value = value.strip()
        return int(value.partition(".")[0]) if NUMBER.fullmatch(value) else None
    if isinstance(value, float | Decimal):
        return int(value) if abs(value) < LARGEST and value == int(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def class_index(value: Any, *, num_labels: int | None, label_names: Sequence[str] | None) -> int:
    """Read a label: an int, an integral float, either as a string (as csv has it), a class name, or true and false.

    A string that is one of the names is that class even if it reads as a number; names also match in another case or
    spelling where that is unambiguous. Of two classes, false is the first.

    Args:
        value: What stands in the column; not None.
        num_labels: Number of classes, None if unknown.
        label_names: Class names in the order of their numbers, None if unknown.

    Raises:
        ValueError: If it is no label; the message is a clause fit for "line 3: …".
    """
    names = list(label_names or ())
    word = str(value).lower() if isinstance(value, bool) else value.strip() if isinstance(value, str) else None
    place = None if word is None else place_of(word, names)
    if place is not None:
        return place
    number = _number(value)
    if number is None and word is not None:
        number = placeholder(word)
        if number is None and num_labels in (None, 2):
            number = TRUTH.get(word.casefold())
    if number is None:
        raise ValueError(_no_label(value, names))
    if not 0 <= number < (LARGEST if num_labels is None else num_labels):
        allowed = "0 or a small number above" if num_labels is None else f"0 to {num_labels - 1}"
        raise ValueError(f"the label {shown(number)} is out of range, it must be {allowed}")
    return number


def _no_label(value: Any, names: Sequence[str]) -> str:
    if isinstance(value, list | tuple | dict):
        kind = "a list" if isinstance(value, list) else f"a {type(value).__name__}"
        return f"the label is not a class number but {kind}; rows of several classes (multi-label) are not supported"
    if isinstance(value, float | Decimal):
        return f"the label {shown(value)} is not a class number; values to predict (regression) are not supported"
    known = f"; names are {listed(names)}" if names else "; class names are not known here"
    if not isinstance(value, str):
        return f"the label {shown(value)} is not a class number{known}"
    near = get_close_matches(value.strip().casefold()[:100], [name.casefold() for name in names], n=1)
    original = next((name for name in names if near and name.casefold() == near[0]), None)
    return f"the label {shown(value)} is not a class number or name" + (
        f"; did you mean {original!r}?" if original else known
    )


def label_reader(
    values: Iterable[Any],
    *,
    declared: Sequence[str] | None,
    num_labels: int | None,
    label_names: Sequence[str] | None,
    given: str,
) -> Callable[[Any], int]:
    """Settle how the labels of a whole column are read.

    Args:
        values: All labels of the column, missing ones left out.
        declared: Names that the data give their class numbers, in the order of the numbers.
        num_labels: Classes of the model, None if unknown.
        label_names: Names that the model gives its classes, None if unknown.
        given: The file or data set, for messages.

    Returns:
        The function from a value to the class of the model; raises as ``class_index``.

    Raises:
        DataError: If names of the data are none of the model's, or numbers could be meant in two ways.
    """
    numbers = {number for number in map(_number, values) if number is not None}
    if declared is not None:
        places = _declared_places(numbers, declared, label_names, given)
    else:
        places = _numbers_as_names(numbers, num_labels, label_names, given)

    @cache
    def read_word(word: str) -> int:
        return class_index(word, num_labels=num_labels, label_names=label_names)

    def read(value: Any) -> int:
        number = _number(value)
        if number is None:
            return (
                read_word(value)
                if isinstance(value, str)
                else class_index(value, num_labels=num_labels, label_names=label_names)
            )
        if declared is not None and number == -1:
            raise ValueError("the label is missing (-1)")
        if places is not None and number not in places:
            raise ValueError(f"the label {shown(number)} is out of range, it must be 0 to {len(places) - 1}")
        return class_index(number if places is None else places[number], num_labels=num_labels, label_names=None)

    return read


def _declared_places(
    numbers: set[int], declared: Sequence[str], label_names: Sequence[str] | None, given: str
) -> Mapping[int, int]:
    """Match the names that the data declare with the model's; numbers stand for themselves where one has no names."""
    if named(declared) and label_names is not None and named(label_names):
        places = {number: place_of(name, label_names) for number, name in enumerate(declared)}
        unknown = [declared[number] for number in sorted(numbers) if places.get(number, 0) is None]
        found = [place for place in places.values() if place is not None]
        if unknown or len(set(found)) < len(found):
            raise DataError(
                f"{given} names its classes {listed(declared)}, the model {listed(label_names)}: "
                + (f"{listed(unknown)} cannot be matched" if unknown else "two of them would be one class"),
                hint="Give the labels as the model's names, or as its numbers in a file that names no classes.",
            )
        return {number: place for number, place in places.items() if place is not None}
    said = [number for number in map(placeholder, declared) if number is not None]
    if len(said) < len(declared) or sorted(said) == said:
        return {number: number for number in range(len(declared))}
    if sorted(said) != list(range(len(said))):
        raise DataError(
            f"{given} names its classes {listed(declared)}, which are numbers in another order",
            hint="Give the labels as the model's names or numbers in a file that names no classes.",
        )
    return dict(enumerate(said))  # sorted as texts are: 0, 1, 10, 2


def _numbers_as_names(
    numbers: set[int], num_labels: int | None, label_names: Sequence[str] | None, given: str
) -> Mapping[int, int] | None:
    """Tell numbers that are names of classes (1 to 5 stars) from class numbers; None where they are the same."""
    names = {number: place for place, name in enumerate(label_names or ()) if (number := _number(name)) is not None}
    if all(names.get(number, number) == number for number in numbers):
        return None
    counted = range(len(label_names or ()) if num_labels is None else num_labels)
    as_numbers, as_names = numbers <= set(counted), numbers <= set(names)
    if as_numbers == as_names:
        raise DataError(
            f"{given}: the labels ({listed([str(number) for number in sorted(numbers)])}) can be meant as numbers of "
            f"classes, from 0, or as their names ({listed(list(label_names or ()))})",
            hint="Write class 0 as LABEL_0, class 1 as LABEL_1 and so on, or give rows of every class.",
        )
    return names if as_names else {number: number for number in counted}
