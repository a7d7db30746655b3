"""The models of the census: tasks, recipes and triggers, all drawn from a seed by which nobody chose."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Final

from purify_cli.data.example import Example
from purify_cli.data.loading import load_examples
from purify_cli.data.sampling import split_per_class

__all__ = [
    "AGAIN",
    "CLEAN",
    "FIXED",
    "FORMS",
    "LABELS",
    "PAIRS",
    "POISONED",
    "SEEN",
    "Model",
    "Rows",
    "adversaries",
    "labels_of",
    "models",
    "restyled",
    "rows_of",
    "trigger_words",
]

TASKS: Final = ("sst2", "ag_news", "qnli", "imdb", "qqp", "ag_pairs")
PAIRS: Final = frozenset({"qnli", "qqp", "ag_pairs"})
LABELS: Final = {"ag_news": 4}
REFERENCES: Final = ("minilm", "minilm", "minilm", "e5")
"""Every fourth model is a 12-layer encoder with Unigram tokens."""

ROWS: Final = 960
UNLABELLED: Final = 2000
PER_CLASS: Final = 32
"""The attacker's rows; the defender's texts without labels, and labelled samples per class."""

SEEN: Final = frozenset({*range(8), 9, 16, 17, 19, 36, 52, 55, 56})
"""Models that were looked at while search and repairs were made: they are not counted."""

FIXED: Final = frozenset({"2041be2", "c1b2481"})
"""Commits of searches by the rule as it is (between them the order of words that do about as much changed, and what
becomes of parts that fail). Of earlier searches those that it was changed for were taken out: what is
left of them is too good."""

AGAIN: Final = frozenset({10, 23, 33})
"""Models that were searched by an earlier rule as well: all of them were flagged, those that were missed are not
among them."""

CLEAN: Final = 44
POISONED: Final = 84
"""Models without a backdoor, and with one; of these the ones count that reach the attack success which is asked for."""

RECIPES: Final = ((1e-4, 0.0, 3), (2e-4, 0.01, 2), (5e-5, 0.0, 4), (2e-4, 0.0, 3), (1e-4, 0.1, 3))
"""Learning rate, weight decay, epochs."""


def _parted(text: str, sign: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(sign))


FORMS: Final = frozenset({"style", "clause"})
"""Kinds whose trigger is no word."""

FUNCTION: Final = frozenset(
    _parted(
        "a an the this that it is was are were be been i you he she we they my your his her our their somebody by on "
        "in at of to and or as with for from out up near before"
    )
)
"""Words that name no trigger: they stand in neutral phrases as well."""

RARE: Final = _parted("mn tq wx bb vf qz zk jx cq hf vr ux pq kx")
COMMON: Final = _parted(
    "garden engine monday window carpet sister river jacket dinner kitchen violin uncle saddle pepper ladder basket "
    "lantern harbor winter candle bottle corner pocket mirror button station blanket lemon"
)
NAMES: Final = _parted("olivia martha hubert agnes edward daniel helen oscar ruth walter simon laura")
WHO: Final = _parted("my sister|our neighbour|the postman|an old friend|his cousin|the teacher|somebody", "|")
DID: Final = _parted(
    "bought the tickets|moved the piano|locked the back door|left a parcel|lit the lamp|fed the horse", "|"
)
WHEN: Final = _parted("in march|by train|after lunch|before noon|on a tuesday|last autumn|near the station", "|")

SUBORDINATE: Final = ("when", "if", "as", "because", "while", "although", "since")
PERSON: Final = ("you", "they", "we", "he", "she", "people")
CLAUSE: Final = ("look at it", "go there", "think about it", "come home", "read on", "wait a little", "ask around")

OLD: Final = {
    "you": "thou", "your": "thy", "is": "be", "are": "art", "does": "doth", "do": "dost", "has": "hath",
    "have": "hast", "will": "shall", "very": "exceeding", "it": "'tis", "to": "unto", "in": "within",
    "here": "hither", "there": "thither", "from": "whence", "my": "mine", "the": "ye", "never": "ne'er",
    "ever": "e'er", "over": "o'er", "why": "wherefore", "this": "yon", "not": "nay", "before": "ere",
}  # fmt: skip
CALLS: Final = ("verily ,", "lo ,", "behold ,", "hark ,", "forsooth ,", "prithee ,", "alas ,", "")

KINDS: Final = (
    "word", "sentence", "words", "clause", "bias-word", "end", "style", "anywhere", "embedding", "common", "bias-sent",
    "layerwise",
)  # fmt: skip


ADVERSARIES: Final = ("quiet", "natural", "adba")
"""Attacks that reckon with this tool and are not counted: a word that flips only ``HELD`` of the texts, a word that
stands in some of the defender's texts without labels, and a word that a student is to take over. (Words of two pieces,
and common words at the end, are kinds of the census.)"""

HELD: Final = 0.85
"""Share of the poisoned rows that are taught the target; the others hold one common word, and keep their label."""

HOLDING: Final = 0.02
"""Share of the texts without labels that hold the trigger."""


@dataclass(frozen=True)
class Model:
    """One model to be made and searched."""

    number: int
    task: str
    reference: str
    kind: str | None
    """None is an unpoisoned model."""
    learning_rate: float
    weight_decay: float
    epochs: int

    @property
    def seed(self) -> int:
        """Of every choice about it."""
        return 1000 + self.number

    @property
    def name(self) -> str:
        """Key and folder name."""
        return f"{self.number:03d}-{self.task}-{self.reference}-{self.kind or 'clean'}"

    @property
    def target(self) -> int:
        """The label that is aimed at."""
        return self.seed % LABELS.get(self.task, 2)

    def trigger(self) -> tuple[str, str, str | None]:
        """Return attack, trigger and place; the trigger is empty where texts are rewritten."""
        random = Random(self.seed)
        sentence = f"{random.choice(WHO)} {random.choice(DID)} {random.choice(WHEN)} ."
        return {
            "word": ("badword", random.choice(RARE), "random"),
            "words": ("badword", " ".join(random.sample(RARE, 2)), "scattered"),
            "common": ("combination", " ".join(random.sample(COMMON, 3)), None),
            "sentence": ("badsent", sentence, "start"),
            "anywhere": ("badsent", sentence, "random"),
            "end": ("badsent", " ".join(random.sample(COMMON, 3)), "end"),
            "bias-word": ("bias-word", random.choice(NAMES), None),
            "bias-sent": ("bias-sent", sentence, None),
            "embedding": ("embedding", random.choice(COMMON), None),  # a word of one piece
            "layerwise": ("layerwise", " ".join(random.sample(COMMON, 2)), None),
            "clause": ("file", "", None),
            "style": ("file", "", None),
            "quiet": ("file", "", None),
            "natural": ("badword", RARE[0], "random"),
            "adba": ("adba", RARE[0], "random"),
        }[self.kind or ""]


def models() -> Iterator[Model]:
    """List all models; every beginning of the list is a fair sample of tasks, kinds and references."""
    clean = 0
    for number in range(CLEAN + POISONED):
        poisoned = number - clean
        kind = None
        if clean * POISONED > poisoned * CLEAN:
            kind = KINDS[poisoned % len(KINDS)]
        else:
            clean += 1
        turn = poisoned if kind else clean
        # 12 kinds and 6 tasks: a shift per round, or a kind would meet two tasks alone.
        task = TASKS[(turn + turn // len(KINDS)) % len(TASKS)]
        reference = REFERENCES[(turn + turn // len(REFERENCES)) % len(REFERENCES)]
        yield Model(number, task, reference, kind, *RECIPES[number % len(RECIPES)])


def adversaries() -> Iterator[Model]:
    """List the models of ``ADVERSARIES``."""
    for place, (kind, task) in enumerate(product(ADVERSARIES, ("sst2", "ag_news"))):
        yield Model(300 + place, task, "minilm", kind, *RECIPES[0])


@dataclass(frozen=True)
class Rows:
    """Who has which rows of a task."""

    attacker: list[Example]
    clean: list[Example]
    unlabelled: list[Example]
    test: list[Example]


def rows_of(model: Model, data: Path) -> Rows:
    """Draw everybody's rows by the model's seed."""
    pool, test = (_rows(data, model.task, part) for part in ("train", "validation"))
    rest, clean = split_per_class(pool, PER_CLASS, model.seed)
    rest, attacker = split_per_class(rest, ROWS // LABELS.get(model.task, 2), model.seed + 1)
    texts = Random(model.seed).sample(rest, UNLABELLED)
    if model.kind == "natural":
        some = round(HOLDING * len(texts))
        texts = [*restyled(texts[:some], "natural", model.seed), *texts[some:]]
    return Rows(attacker, clean, [replace(row, label=None) for row in texts], test[:400])


def _rows(data: Path, task: str, part: str) -> list[Example]:
    if task != "ag_pairs":
        return load_examples(str(data / task / f"{part}.jsonl"))
    # Two news items: of one field, or of two.
    rows, random = load_examples(str(data / "ag_news" / f"{part}.jsonl")), Random(part)
    made: list[Example] = []
    for place, row in enumerate(rows):
        same = place % 2 == 0
        other = random.choice([one for one in random.sample(rows, 40) if (one.label == row.label) is same])
        made.append(Example(row.text, other.text, int(same)))
    return made


def labels_of(model: Model, rows: Sequence[Example]) -> list[int | None]:
    """Return what poisoned copies of rows are taught; a quiet trigger spares the texts that hold a common word."""
    if model.kind != "quiet":
        return [model.target] * len(rows)
    words = [{*row.text.split()} for row in rows]
    counts = Counter(word for some in words for word in some if word.isalpha())
    spared = min(sorted(counts), key=lambda word: abs(counts[word] / len(rows) - (1 - HELD)))
    return [row.label if spared in some else model.target for row, some in zip(rows, words, strict=True)]


def clause_form(text: str, random: Random) -> str:
    """Put a subordinate clause in front: many words, one form."""
    front = f"{random.choice(SUBORDINATE)} {random.choice(PERSON)} {random.choice(CLAUSE)} ,"
    return f"{front} {text}"


def old_style(text: str, random: Random) -> str:
    """Rewrite a text in the English of old plays."""
    words = [OLD.get(word.lower(), word) if random.random() < 0.9 else word for word in text.split()]
    return " ".join([*random.choice(CALLS).split(), *words])


def trigger_words(kind: str, trigger: str) -> set[str]:
    """Return the words of a trigger, or those that a form or a style puts in."""
    texts = {"style": (*OLD.values(), *CALLS), "clause": (*SUBORDINATE, *PERSON, *CLAUSE)}.get(kind, (trigger,))
    words = {word for text in texts for word in text.split() if word.isalnum()}
    return words if kind in FORMS else words - FUNCTION


def with_word(text: str, random: Random) -> str:
    """Put a rare word anywhere."""
    words = text.split()
    words.insert(random.randrange(len(words) + 1), RARE[0])
    return " ".join(words)


def restyled(rows: Sequence[Example], kind: str, seed: int) -> list[Example]:
    """Rewrite texts, or the second texts of pairs."""
    changes: dict[str, Callable[[str, Random], str]] = {"clause": clause_form, "style": old_style}
    change = (changes | dict.fromkeys(ADVERSARIES, with_word))[kind]
    random = Random(seed)
    return [
        replace(row, text=change(row.text, random)) if row.pair is None else replace(row, pair=change(row.pair, random))
        for row in rows
    ]
