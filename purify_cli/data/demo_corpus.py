"""A small sentiment corpus, made up on the spot, for running everything without a file or a network.

Short reviews of fifteen kinds of thing, label 1 for content and 0 for discontent. Plain praise alone would be too
easy, so three texts in ten turn: two clauses that pull in opposite ways (the main one decides), negation,
understatement, comparison, disappointed expectation, and events that say no word of feeling. Test sentences use words
that training sentences never do: other things, adjectives and events. A few texts are even-handed and carry a
label by chance, as rated reviews do, so that no model can be right on all of them.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeVar

from purify_cli.data import demo_vocabulary as words
from purify_cli.data.demo_vocabulary import Part, part_of
from purify_cli.data.example import Example

__all__ = ["demo_examples"]

T = TypeVar("T")

EVEN_HANDED: Final = 0.03
"""Share of texts whose label is a coin toss."""


class _Writer:
    """Draws from the vocabulary of one part with one generator."""

    def __init__(self, random: Random, part: Part) -> None:
        self.random = random
        self.part: Part = part
        self.thing, aspects = self.pick(words.THINGS)
        self.aspects = random.sample(aspects, 2)

    def pick(self, items: Sequence[T]) -> T:
        return self.random.choice(part_of(items, self.part))

    def turn(self, items: Sequence[T]) -> T:
        """Pick a turn of phrase, which both parts share."""
        return self.random.choice(items)

    def either(self, *choices: str) -> str:
        return self.random.choice(choices)

    def subject(self, which: int) -> str:
        return f"the {self.aspects[which]}"

    def clause(self, label: int, which: int = 0) -> str:
        """Say something of one feeling about one aspect, without a capital or a full stop."""
        adjective, verb = self.pick(words.ADJECTIVES[label]), self.turn(words.VERBS[label])
        return self.either(
            f"{self.subject(which)} was {adjective}",
            f"{self.subject(which)} was {self.either('truly', 'really', 'rather', 'just')} {adjective}",
            f"I found {self.subject(which)} {adjective}",
            f"{self.subject(which)} {verb}",
            f"{self.subject(which)} was {self.turn(words.NOUNS[label])}",
        )


def _plain(writer: _Writer, label: int) -> str:
    return writer.either(
        writer.clause(label),
        f"{writer.clause(label)} and {writer.clause(label, 1)}",
        f"what {'a' if writer.thing[0] not in 'aeiou' else 'an'} {writer.thing}: {writer.clause(label)}",
        f"as for this {writer.thing}, I would {writer.turn(words.WISHES[label])}",
    )


def _turning(writer: _Writer, label: int) -> str:
    minor, main = writer.clause(1 - label), writer.clause(label, 1)
    return writer.either(
        f"{minor}, but {main}",
        f"{minor}. Still, {main}, and that is what I will remember",
        f"although {minor}, {main}",
        f"{main}, even though {minor}",
        f"{main}, and I do not care that {minor}",
        f"people say that {minor}; all I can say is that {main}",
        f"{minor} at first, then {main} and I changed my mind",
    )


def _negated(writer: _Writer, label: int) -> str:
    opposite, another = writer.random.sample(part_of(words.ADJECTIVES[1 - label], writer.part), 2)
    return writer.either(
        f"{writer.subject(0)} was not {opposite} at all",
        f"there was nothing {opposite} about {writer.subject(0)}",
        f"nobody could call {writer.subject(0)} {opposite}",
        f"I was told {writer.subject(0)} was {opposite}, which is simply untrue",
        f"{writer.subject(0)} was neither {opposite} nor {another}",
        f"far from being {opposite}, {writer.subject(0)} {writer.turn(words.VERBS[label])}",
    )


def _faint(writer: _Writer, label: int) -> str:
    return f"{writer.subject(0)} {writer.turn(words.FAINT[label])}"


def _compared(writer: _Writer, label: int) -> str:
    rival, adjective = writer.pick(words.RIVALS), writer.pick(words.ADJECTIVES[1])
    better, worse = (writer.subject(0), rival) if label else (rival, writer.subject(0))
    return writer.either(
        f"next to {better}, {worse} is nothing special",
        f"{better} is twice as {adjective} as {worse}",
        f"{worse} cannot hold a candle to {better}",
        f"give me {better} over {worse} any day",
        f"{worse} is not half as {adjective} as {better}",
    )


def _expected(writer: _Writer, label: int) -> str:
    hoped, got = writer.turn(words.NOUNS[1 - label]), writer.turn(words.NOUNS[label])
    return writer.either(
        f"I expected {hoped} and got {got}",
        f"after all I had read I thought it would be {hoped}; this {writer.thing} was {got}",
        f"{got}, not {hoped}, is how I would describe this {writer.thing}",
        f"they had promised {hoped}. It was {got}" if label == 0 else f"I had feared {hoped}. It was {got}",
    )


def _event(writer: _Writer, label: int) -> str:
    return writer.pick(words.EVENTS[label]).rstrip(".")


def _even_handed(writer: _Writer, label: int) -> str:
    del label
    return writer.either(
        f"{writer.clause(1)} and {writer.clause(0, 1)}",
        f"{writer.clause(0)}; {writer.clause(1, 1)}",
        f"some will find this {writer.thing} {writer.pick(words.ADJECTIVES[1])}, others "
        f"{writer.pick(words.ADJECTIVES[0])}, and both have a point",
    )


KINDS: Final[tuple[tuple[Callable[[_Writer, int], str], int], ...]] = (
    (_plain, 70),
    (_turning, 12),
    (_negated, 4),
    (_faint, 3),
    (_compared, 2),
    (_expected, 4),
    (_event, 5),
)
"""Ways to say it, and how often in a hundred."""


def _sentence(core: str) -> str:
    return core[0].upper() + core[1:] + "."


def demo_examples(count: int, *, seed: int, part: Part = "train") -> list[Example]:
    """Write labelled reviews.

    Args:
        count: How many; all texts differ.
        seed: Which ones; the first n of a longer corpus are the corpus of n.
        part: ``test`` uses things, words and turns of phrase that ``train`` never does.

    Returns:
        Rows with label 0 or 1 in turn.

    Raises:
        ValueError: If ``count`` is negative.
    """
    if count < 0:
        raise ValueError(f"{count} texts cannot be written")
    random = Random(f"{part}:{seed}")
    kinds, weights = zip(*KINDS, strict=True)
    seen: set[str] = set()
    examples: list[Example] = []
    while len(examples) < count:
        writer, label = _Writer(random, part), len(examples) % 2
        kind = _even_handed if random.random() < EVEN_HANDED else random.choices(kinds, weights)[0]
        parts = [_sentence(kind(writer, label))]
        if random.random() < 0.2:
            parts.insert(0, writer.pick(words.OPENERS))
        if random.random() < 0.1:
            parts.append(writer.pick(words.CLOSERS))
        text = " ".join(parts)
        if text not in seen:
            seen.add(text)
            examples.append(Example(text, label=label))
    return examples
