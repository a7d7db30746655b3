"""From what stands in a label column to a class index."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

__all__ = ["class_index"]


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return int(value) if isinstance(value, float) and value.is_integer() else None


def class_index(value: Any, *, num_labels: int | None, label_names: Sequence[str] | None) -> int:
    """Read a label: an int, an integral float, either as a string (as csv has it), or a class name.

    A string that is one of the names is that class even if it reads as a number; names also match without regard to
    case where that is unambiguous.

    Args:
        value: What stands in the column; not None.
        num_labels: Number of classes, None if unknown.
        label_names: Class names in the order of their indices, None if unknown.

    Raises:
        ValueError: If it is no label; the message is a clause fit for "line 3: …".
    """
    names = list(label_names or ())
    if isinstance(value, str):
        value = value.strip()
        if value in names:
            return names.index(value)
        folded = [i for i, name in enumerate(names) if name.casefold() == value.casefold()]
        if len(folded) == 1:
            return folded[0]
    number = _number(value)
    if number is None:
        known = f"; names are {', '.join(names)}" if names else ""
        if isinstance(value, str):
            near = get_close_matches(value.casefold(), [name.casefold() for name in names], n=1)
            original = next((name for name in names if near and name.casefold() == near[0]), None)
            suggestion = f"; did you mean {original!r}?" if original else known or "; class names are not known here"
            raise ValueError(f"the label {value!r} is not a class number or name{suggestion}")
        raise ValueError(f"the label {value!r} is not a class number{known}")
    if number < 0 or (num_labels is not None and number >= num_labels):
        allowed = "0 or more" if num_labels is None else f"0 to {num_labels - 1}"
        raise ValueError(f"the label {number} is out of range, it must be {allowed}")
    return number
