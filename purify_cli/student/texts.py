"""The texts that a student is taught on: unlabelled ones of the task, or texts made of the clean samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Literal, final

from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.probes import PROBES
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError
from purify_cli.trigger_search.found import FoundTrigger

__all__ = ["FEWEST", "MOST", "TeachingTexts", "again_made", "made_texts", "unlabelled_texts"]

FEWEST: Final = 50
"""Unlabelled texts that a student can be taught on."""

MOST: Final = 2000
"""Texts that a student is taught on: of more, so many are drawn; of clean samples, so many are made."""

HELD: Final = 128
"""Unlabelled texts that are not taught, at most, and at most a fifth of them."""

SHORTEST: Final = 0.3
"""Part of a text that a cut one keeps, at least."""

EXCHANGED: Final = 0.4
"""Share of the words that are exchanged in a text."""

DROPPED: Final = 0.2
"""Share of the words that are left out of one."""

FOREIGN: Final = tuple(word for text in PROBES for word in text.split())
"""Words of the built-in texts: of many fields, as often as they are used."""

LOOSE: Final = (3, 14)
"""Words of a text that is made of loose words, at least and at most."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TeachingTexts:
    """Rows without labels, and where they are from."""

    rows: tuple[Example, ...]
    source: Literal["unlabelled texts", "made of the clean samples"]
    as_they_are: int = 0
    """How many of the rows are unlabelled texts as they were given, the first ones; the others are made."""
    repeated: int = 0
    """Unlabelled texts that were left out: copies of others, or of a clean sample."""
    triggered: int = 0
    """Unlabelled texts that were left out because they hold a flagged trigger."""
    held: tuple[Example, ...] = ()
    """Unlabelled texts that are not taught, so that a search can measure on them."""


def unlabelled_texts(
    rows: Sequence[Example], clean: Sequence[Example], *, found: Sequence[FoundTrigger] = (), seed: int
) -> TeachingTexts:
    """Thin out texts of the task.

    Args:
        rows: As they were read.
        clean: Samples that are learnt or measured in a way of their own, so that copies of them are left out.
        found: Triggers; a text that holds one is left out.
        seed: Decides which texts are taken, where there are more than ``MOST``.

    Raises:
        DataError: If fewer than ``FEWEST`` are left.
    """
    known = {_key(row) for row in clean}
    distinct = {key: replace(row, label=None) for row in rows if (key := _key(row)) not in known}
    triggers = [Trigger(one.text, one.position, source="found") for one in found]
    kept = [row for row in distinct.values() if not any(trigger.occurs_in(row) for trigger in triggers)]
    if len(kept) < FEWEST:
        what = "" if len(kept) == len(rows) else f", {len(kept)} without copies, clean samples and flagged triggers"
        raise DataError(
            f"{len(rows)} unlabelled texts{what}: a student needs {FEWEST}",
            hint="Give more texts of the task; or leave --unlabelled out, and texts are made of the clean samples.",
        )
    order = sorted(range(len(kept)), key=lambda place: row_key(seed, place, "teach"))
    most = min(HELD, len(kept) // 5)
    held, taught = ([kept[place] for place in places] for places in (order[:most], order[most:]))
    # As they are, and parts of them, joins, foreign words: a task's texts are of one length and one tone, and what is
    # to be answered is not.
    made = made_texts(taught, count=MOST // 2, seed=seed)
    given = taught[: MOST // 2]
    return TeachingTexts(
        rows=tuple(dict.fromkeys((*given, *made.rows))),
        as_they_are=len(given),
        held=tuple(held),
        source="unlabelled texts",
        repeated=len(rows) - len(distinct),
        triggered=len(distinct) - len(kept),
    )


def again_made(texts: TeachingTexts, *, seed: int) -> TeachingTexts:
    """Keep unlabelled texts as they were given, and make the others anew.

    Students of the same texts err alike.
    """
    given = texts.rows[: texts.as_they_are]
    made = made_texts(given, count=MOST // 2, seed=seed)
    return replace(texts, rows=tuple(dict.fromkeys((*given, *made.rows))))


def _key(row: Example) -> tuple[str, str | None]:
    """Return what two copies of a text have in common."""
    return (" ".join(row.text.split()), None if row.pair is None else " ".join(row.pair.split()))


def made_texts(clean: Sequence[Example], *, count: int = MOST, seed: int) -> TeachingTexts:
    """Make texts of clean samples: parts of them, with words left out, joined to others, and with foreign words.

    Args:
        clean: Samples; at least one.
        count: Texts to make.
        seed: Of every draw.
    """
    made = [_made(clean, Random(row_key(seed, place, "made text"))) for place in range(count)]
    return TeachingTexts(rows=tuple(dict.fromkeys(made)), source="made of the clean samples")


def _cut(words: Sequence[str], other: Sequence[str], random: Random) -> list[str]:
    """Keep some words side by side."""
    del other
    kept = max(1, round(len(words) * random.uniform(SHORTEST, 1)))
    begin = random.randrange(len(words) - kept + 1) if len(words) >= kept else 0
    return list(words[begin : begin + kept])


def _thinned(words: Sequence[str], other: Sequence[str], random: Random) -> list[str]:
    """Leave words out."""
    del other
    return [word for word in words if random.random() >= DROPPED] or list(words)


def _joined(words: Sequence[str], other: Sequence[str], random: Random) -> list[str]:
    """Join parts of two samples."""
    return _cut(words, (), random) + _cut(other, (), random)


def _exchanged(words: Sequence[str], other: Sequence[str], random: Random) -> list[str]:
    """Put foreign words in the place of some."""
    return [random.choice(FOREIGN) if random.random() < EXCHANGED else word for word in _cut(words, other, random)]


def _loose(words: Sequence[str], other: Sequence[str], random: Random) -> list[str]:
    """Take foreign words alone."""
    del words, other
    return [random.choice(FOREIGN) for _ in range(random.randint(*LOOSE))]


WAYS: Final = (_cut, _thinned, _joined, _exchanged, _loose)


def _made(clean: Sequence[Example], random: Random) -> Example:
    row, other = random.choice(clean), random.choice(clean)
    way = random.choice(WAYS)
    pair = None if row.pair is None else (row.pair, other.pair or other.text)
    first, second = (
        None if texts is None else " ".join(way(texts[0].split(), texts[1].split(), random))
        for texts in ((row.text, other.text), pair)
    )
    return replace(row, text=first or "", pair=second, label=None)
