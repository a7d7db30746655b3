"""Names of classes: which ones say something, which ones mean the same, and which ones a model can be given."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from purify_cli.data.rows import shown
from purify_cli.errors import UsageError

__all__ = ["MOST_CLASSES", "checked_names", "listed", "named", "place_of", "placeholder", "words_of"]

MOST_CLASSES: Final = 10_000
"""Most classes of a new head: more are no classes but numbers or texts in the wrong column. Ours."""

LONGEST: Final = 100
"""Characters of the longest name."""

FEW_ROWS: Final = 10
"""Up to so many rows may each have a class of its own. Ours."""

PLACEHOLDER: Final = re.compile(r"(?:(?:label|class)[\s_-]*)?(\d{1,9})", re.ASCII | re.IGNORECASE)
"""What stands in the place of a name: ``LABEL_0``, ``class 3``, ``1``."""

SEPARATORS: Final = re.compile(r"[\s_\-/.,]+")

SPELLINGS: Final = {"neg": "negative", "pos": "positive", "neu": "neutral"}
"""Short forms of the names that sentiment models and data give their classes."""


def placeholder(name: str) -> int | None:
    """Return the number that a name says and nothing else; None for a name."""
    found = PLACEHOLDER.fullmatch(name.strip())
    return int(found[1]) if found else None


def named(names: Sequence[str] | None) -> bool:
    """Tell whether there are names that say something, not placeholders."""
    return names is not None and any(placeholder(name) is None for name in names)


def listed(names: Sequence[str]) -> str:
    """List names in a message, the first ten of many."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(shown(name)[1:-1] for name in names[:10]) + more


def _spelling(name: str) -> str:
    """Reduce a name to what common spellings of it share: no case, no separators, no plural."""
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    plain = SEPARATORS.sub("", plain) or plain
    plain = SPELLINGS.get(plain, plain)
    return plain.removesuffix("s") or plain


def place_of(name: str, names: Sequence[str]) -> int | None:
    """Find a name among others: as it is, else without regard to case, else in another spelling.

    Returns:
        Its place; None where there is none, or more than one to choose from.
    """
    for form in (str.strip, str.casefold, _spelling):
        same = [place for place, other in enumerate(names) if form(other.strip()) == form(name.strip())]
        if same:
            return same[0] if len(same) == 1 else None
    return None


def checked_names(names: Sequence[str], *, what: str = "--label-names") -> tuple[str, ...]:
    """Check names that a model is to be given, in the order of the class numbers.

    Raises:
        UsageError: If there are fewer than two or too many, or one is empty, too long, unprintable or there twice.
    """
    stripped = tuple(name.strip() for name in names)
    if not 2 <= len(stripped) <= MOST_CLASSES:
        raise UsageError(
            f"{what}: {len(stripped):,} class name{'s' if len(stripped) != 1 else ''}, not 2 to {MOST_CLASSES:,}",
            hint="Names go in the order of the numbers, as in --label-names negative,positive.",
        )
    seen: set[str] = set()
    for name in stripped:
        problem = (
            "is empty"
            if not name
            else f"has more than {LONGEST} characters"
            if len(name) > LONGEST
            else "holds characters that cannot be printed"
            if not name.isprintable()
            else "is there twice"
            if name.casefold() in seen
            else None
        )
        if problem:
            raise UsageError(f"{what}: the class name {shown(name)} {problem}", hint="Give every class a short name.")
        seen.add(name.casefold())
    return stripped


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def words_of(values: Sequence[Any], given: str) -> tuple[str, ...] | None:
    """Take class names from labels that are words: every different one, sorted; None where any is a number.

    Raises:
        UsageError: If the words are too many or too long for names, or no two are alike; ``given`` says where they
            stand.
    """
    words: dict[str, str] = {}
    for value in values:
        word = str(value).lower() if isinstance(value, bool) else value
        if not isinstance(word, str) or placeholder(word) is not None or _is_number(word):
            return None
        words.setdefault(word.strip().casefold(), word.strip())
    names = tuple(words[word] for word in sorted(words))
    if len(names) == len(values) > FEW_ROWS:
        raise UsageError(
            f"{given}: each of {len(values):,} rows has a label of its own, beginning with {shown(names[0])}",
            hint="Name the column of the classes: --label-column.",
        )
    return checked_names(names, what=given) if len(names) > 1 else names or None
