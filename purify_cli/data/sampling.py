"""Parts of a data set: so many rows per class, a held-back share, and the name of a set by its content."""

import hashlib
import json
from collections.abc import Sequence

from purify_cli.data.class_names import named
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.errors import DataError, UsageError

__all__ = [
    "examples_sha256",
    "halved",
    "held_places",
    "hold_out",
    "require_classes",
    "require_every_class",
    "split_per_class",
]


def examples_sha256(examples: Sequence[Example]) -> str:
    """Return the SHA-256 of texts, pairs and labels in their order, whatever file format they came from."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([example.text, example.pair, example.label]).encode() + b"\n")
    return digest.hexdigest()


def _by_class(examples: Sequence[Example], seed: int) -> dict[int | None, list[int]]:
    rows: dict[int | None, list[int]] = {}
    for i in sorted(range(len(examples)), key=lambda i: row_key(seed, i, "sample")):
        rows.setdefault(examples[i].label, []).append(i)
    return rows


def _parted(examples: Sequence[Example], taken: set[int]) -> tuple[list[Example], list[Example]]:
    rest = [example for i, example in enumerate(examples) if i not in taken]
    return rest, [example for i, example in enumerate(examples) if i in taken]


def split_per_class(examples: Sequence[Example], per_class: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Take the same number of rows of every class.

    Args:
        examples: Rows; each keeps its place relative to the others.
        per_class: Rows to take of each class.
        seed: Which ones.

    Returns:
        (rest, taken).

    Raises:
        UsageError: If ``per_class`` is below 1.
        DataError: If a class has fewer rows.
    """
    if per_class < 1:
        raise UsageError(f"{per_class} rows per class is not a positive number", hint="Use 1 or more.")
    taken: set[int] = set()
    for label, rows in _by_class(examples, seed).items():
        if len(rows) < per_class:
            raise DataError(f"class {label} has {len(rows)} rows, not {per_class}", hint="Ask for fewer per class.")
        taken.update(rows[:per_class])
    return _parted(examples, taken)


def hold_out(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Hold back a share of every class; of a class with two rows or more, at least one is held and one is left.

    Args:
        examples: Rows; each keeps its place relative to the others.
        share: Part of each class to hold back, rounded to whole rows; in (0, 1).
        seed: Which ones.

    Returns:
        (rest, held).

    Raises:
        UsageError: If the share is not between 0 and 1.
    """
    return _parted(examples, held_places(examples, share, seed))


def halved(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """Hold back half of every class, without texts that the other half has under another label.

    Args:
        examples: Rows; each keeps its place relative to the others.
        seed: Which ones.

    Returns:
        (rest, held).
    """
    rest, held = hold_out(examples, 0.5, seed)
    known = {(example.text, example.pair): example.label for example in rest}
    return rest, [one for one in held if known.get((one.text, one.pair), one.label) == one.label]


def held_places(examples: Sequence[Example], share: float, seed: int) -> set[int]:
    """Return the places of the rows that ``hold_out`` holds; those of a smaller share are among those of a larger one.

    Raises:
        UsageError: If the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise UsageError(f"a share of {share} cannot be held back", hint="Use a number between 0 and 1.")
    held: set[int] = set()
    for rows in _by_class(examples, seed).values():
        if len(rows) > 1:
            held.update(rows[: min(max(round(share * len(rows)), 1), len(rows) - 1)])
    return held


def require_classes(examples: Sequence[Example], at_least: int = 2) -> None:
    """Refuse rows of too few classes.

    Raises:
        DataError: If fewer than ``at_least`` labels occur.
    """
    labels = sorted({example.label for example in examples if example.label is not None})
    if len(labels) < at_least:
        several = f"only the classes {', '.join(map(str, labels))} occur"
        found = several if len(labels) > 1 else f"only class {labels[0]} occurs" if labels else "no row has a label"
        raise DataError(f"{found} in {len(examples)} rows", hint=f"Give rows of at least {at_least} classes.")


def require_every_class(examples: Sequence[Example], names: Sequence[str]) -> None:
    """Refuse rows that leave a class of a new head empty: nothing would train its output.

    Args:
        examples: Labelled rows.
        names: Of the classes; ``LABEL_0`` and so on where they have none.

    Raises:
        DataError: If a class has no row.
    """
    there = sorted({example.label for example in examples if example.label is not None})
    count = max(len(names), there[-1] + 1)
    if len(there) == count:
        return
    pairs = zip([-1, *there], [*there, count], strict=True)
    first, last = next((low + 1, high - 1) for low, high in pairs if high - low > 1)
    what = f"class {_said(first, names)}" if first == last else f"classes {first} to {last}"
    raise DataError(
        f"labels are {_enumerated([_said(label, names) for label in there])}, so {what} will be empty",
        hint="Number them from 0; or name the classes in the order of their numbers (--label-names A,B,C), some of "
        f"which may then be empty; or give the numbers as names (--label-names {','.join(map(str, there[:3]))}).",
    )


def _said(label: int, names: Sequence[str]) -> str:
    return names[label] if label < len(names) and named(names) else str(label)


def _enumerated(parts: Sequence[str]) -> str:
    *some, last = parts if len(parts) <= 10 else [*parts[:9], f"{len(parts) - 9} more"]
    return f"{', '.join(some)} and {last}" if some else last
