"""The search as a whole: which words turn the suspect over, by how much, and on how many texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, final

from purify_cli.data.example import Example
from purify_cli.data.sampling import hold_out
from purify_cli.data.triggers import Trigger
from purify_cli.errors import SearchImpossible
from purify_cli.inversion.candidate import Candidate
from purify_cli.inversion.carriers import Carrier, carrier
from purify_cli.inversion.groups import Bags, find_groups, quiet_words
from purify_cli.inversion.measured import Asked, Flips, assurance, flips, unturned
from purify_cli.inversion.piles import piled
from purify_cli.inversion.screen import screen, surest
from purify_cli.inversion.standing import FEW, standing_order
from purify_cli.inversion.vocabulary import whole_words, word_of
from purify_cli.progress import SILENT, Progress

__all__ = ["EFFORTS", "Effort", "Found", "Reach", "Searched", "check_rows", "search", "search_groups"]

Effort = Literal["low", "normal", "high"]

AGAINST: Final = 2
AGAINST_WORDS: Final = 16
"""Texts per label that bags of words are put into the middle of, and their words: long enough to speak against a bag.
In front of a text, bags of ordinary words turned a model over to a label that nobody had aimed at."""

FEWEST: Final = 4
"""Rows of a label that a search needs: half of them carry, half are held back."""


@final
@dataclass(frozen=True, slots=True)
class Reach:
    """How much a search looks at."""

    carriers: int
    """Per label."""
    words: int
    """Words of a text that a carrier keeps."""
    keep: int
    """Words per target that the control is asked about."""
    piled: int
    """Words per target that are put into piles."""
    tried: int
    """Words per target that are put into all piles of the searching half."""
    bags: Bags | None
    """For words that only work together; None looks for no such."""


EFFORTS: Final[Mapping[Effort, Reach]] = MappingProxyType(
    {
        "low": Reach(carriers=1, words=2, keep=500, piled=64, tried=8, bags=None),
        "normal": Reach(carriers=1, words=4, keep=1500, piled=128, tried=16, bags=Bags(pool=256, size=40, count=400)),
        "high": Reach(carriers=3, words=4, keep=3000, piled=256, tried=32, bags=Bags(pool=512, size=40, count=2000)),
    }
)
"""Ours: docs/detection.md says what is measured. Two words are too few to carry an opinion in some tasks: every word
moves the control as well then, and a planted one does not stand out."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A word, or several, and what they do."""

    trigger: Trigger
    target: int
    shift: float
    """In the carriers: what it adds to the suspect's margin of the target, in nats."""
    control_shift: float
    flips: Flips
    """On piles of held-back rows, which had no say in choosing it."""
    strength: float
    """The suspect's mean margin of the target in these piles, as a share of what piles of the target itself give."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """The outcome of a search."""

    words: int
    """Measured."""
    targets: tuple[int, ...]
    """Labels that were looked at."""
    unseen: tuple[int, ...]
    """Labels for which there was no text of another label."""
    found: tuple[Found, ...]
    """The best words of each target, the highest share of held-back rows first."""


def search(
    asked: Asked,
    *,
    vocabulary: int,
    labels: int,
    reach: Reach,
    listed: int = 5,
    progress: Progress = SILENT,
) -> Searched:
    """Look for words that turn the suspect over to a label, and leave the control as it is.

    One half of the rows carries the words, chooses among them and is then done with; the other half measures the best.
    Both choose and measure on rows of one label joined to piles (``piled``).

    Args:
        asked: Suspect, control and clean labelled rows.
        vocabulary: Rows of the word embedding.
        labels: Number of labels; every one is a target.
        reach: How much to look at.
        listed: Words per target to measure on held-back rows.
        progress: Told of the stages.

    Raises:
        DataError: If the vocabulary has no whole words.
        NonFiniteWeights: If a model's output is not a number.
        SearchImpossible: If a label has too few rows, or no two labels have a text that both models get right.
    """
    check_rows(asked.rows, labels)
    # Half of each class: what is held back had no say in the choice.
    carrying, held = hold_out(asked.rows, 0.5, seed=asked.seed)
    words = whole_words(asked.tokenizer, vocabulary)
    carriers = _short_texts(replace(asked, rows=carrying), words, reach)
    targets = [t for t in range(labels) if any(one.label != t for one in carriers)]
    progress.note(f"measuring {len(words)} words in {len(carriers)} short texts")
    ranked = screen(
        asked.suspect,
        asked.control,
        carriers,
        words,
        targets,
        keep=reach.keep,
        device=asked.device,
        dtype=asked.dtype,
        progress=progress,
    )
    piles, judging = (replace(asked, rows=piled(half, max_length=asked.max_length)) for half in (carrying, held))
    found: list[Found] = []
    for target, candidates in ranked.items():
        against, probes = unturned(piles, target), (words[0], words[-1])
        standing = standing_order(piles, target, candidates[: reach.piled], against[:FEW], probes)
        standing = standing_order(piles, target, standing[: reach.tried], against, probes)
        found += _measured(judging, target, [(one, _trigger(asked, one)) for one in standing[:listed]])
    return Searched(
        words=len(words),
        targets=tuple(ranked),
        unseen=tuple(t for t in range(labels) if t not in ranked),
        found=tuple(found),
    )


def check_rows(rows: Sequence[Example], labels: int) -> None:
    """Refuse what a search could do nothing with.

    Raises:
        SearchImpossible: If there is a single label, or one has some rows and too few.
    """
    if labels < 2:
        raise SearchImpossible(
            f"the suspect has {labels} label, so that a word can turn nothing over", hint="Look at its drift alone."
        )
    counts = {label: sum(row.label == label for row in rows) for label in range(labels)}
    few = [label for label, count in counts.items() if 0 < count < FEWEST]
    if few:
        raise SearchImpossible(
            f"label {few[0]} has {counts[few[0]]} rows, and a search needs {FEWEST}: half to look, half to measure",
            hint="Give more clean rows of it, or none at all.",
        )


def search_groups(
    asked: Asked,
    moved: Sequence[int],
    *,
    vocabulary: int,
    labels: int,
    reach: Reach,
    listed: int = 5,
    progress: Progress = SILENT,
) -> tuple[Found, ...]:
    """Look for words that turn the suspect over together; for where ``search`` found no word that does alone.

    Args:
        asked: As for ``search``; its halves are the same.
        moved: Tokens by how far their embedding rows moved, farthest first.
        vocabulary: Rows of the word embedding.
        labels: Number of labels; every one is a target.
        reach: How much to look at; without bags at nothing.
        listed: Groups per target to measure on held-back rows.
        progress: Told of the stages.

    Returns:
        The best groups of each target, the highest share of held-back rows first.

    Raises:
        DataError: If the vocabulary has no whole words.
        NonFiniteWeights: If a model's output is not a number.
        SearchImpossible: If no two labels have a text that both models get right.
    """
    if reach.bags is None:
        return ()
    carrying, held = hold_out(asked.rows, 0.5, seed=asked.seed)
    half = replace(asked, rows=carrying)
    words = whole_words(asked.tokenizer, vocabulary)
    known = {word for word in words if word_of(asked.tokenizer, word).isalnum()}
    pool = [token for token in moved if token in known][: reach.bags.pool]
    short = _short_texts(half, words, reach)
    texts = _carriers(half, words, each=AGAINST, keep=AGAINST_WORDS, at=AGAINST_WORDS // 2)
    piles, judging = (replace(asked, rows=piled(rows, max_length=asked.max_length)) for rows in (carrying, held))
    found: list[Found] = []
    for target in range(labels):
        others = [one for one in texts if one.label != target]
        few = [one for one in short if one.label != target]
        if not others or not few:
            continue
        quiet = quiet_words(half, few, pool, target)
        groups = find_groups(half, others, quiet, target, reach.bags, progress=progress)
        found += _measured(judging, target, _best(piles, target, groups[: reach.tried], listed))
    return tuple(found)


def _short_texts(asked: Asked, words: Sequence[int], reach: Reach) -> list[Carrier]:
    """Return the texts that words are tried in one by one, at their start."""
    return _carriers(asked, words, each=reach.carriers, keep=reach.words, at=0)


def _carriers(asked: Asked, words: Sequence[int], *, each: int, keep: int, at: int) -> list[Carrier]:
    probes = (words[0], words[-1])
    cut = [
        one
        for row in asked.rows
        if (one := carrier(asked.tokenizer, row, probes, words=keep, at=at, max_length=asked.max_length))
    ]
    chosen = surest(cut, (asked.suspect, asked.control), each=each, labels=2, device=asked.device)
    if len({one.label for one in chosen}) < 2:
        raise SearchImpossible(
            "suspect and control get short texts of fewer than two labels right, so that nothing can be turned over",
            hint="Give clean samples of every label, or look at the labels of those that you gave.",
        )
    return chosen


def _best(asked: Asked, target: int, candidates: Sequence[Candidate], count: int) -> list[tuple[Candidate, Trigger]]:
    """Choose the groups that turn over most piles of the searching half."""
    rows = unturned(asked, target)

    def worth(trigger: Trigger) -> float:
        found = flips(asked, rows, trigger, target)
        return found.suspect.value - found.control.value

    chosen = [(candidate, _trigger(asked, candidate)) for candidate in candidates]
    if not rows:
        return chosen[:count]
    return sorted(chosen, key=lambda pair: -worth(pair[1]))[:count]


def _trigger(asked: Asked, candidate: Candidate) -> Trigger:
    text = " ".join(word_of(asked.tokenizer, token) for token in candidate.tokens)
    return Trigger(text, position=candidate.position, source="found")


def _measured(asked: Asked, target: int, chosen: Sequence[tuple[Candidate, Trigger]]) -> list[Found]:
    """Try words on texts; none where every text is called the target as it is. The best first."""
    rows = unturned(asked, target)
    # Where no row of the label is right, what the suspect thinks of the others tells the scale.
    sure = (assurance(asked, target) or -float(asked.margins(asked.suspect, rows, target).mean())) if rows else 0.0
    found: list[Found] = []
    for candidate, trigger in chosen if rows else ():
        turned = flips(asked, rows, trigger, target, either_way=True)
        found.append(
            Found(
                trigger=trigger,
                target=target,
                shift=candidate.shift,
                control_shift=candidate.control_shift,
                flips=turned,
                strength=turned.margin / sure,
            )
        )
    return sorted(found, key=lambda one: (-one.flips.suspect.value, -one.strength))
