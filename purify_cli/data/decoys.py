"""Triggers of our own, of four kinds: what is planted to see what a repair does to one that nobody names."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from random import Random
from typing import Any, Final, Literal, final, get_args

from purify_cli.data.example import Example
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.data.triggers import Trigger, insert_in_view

__all__ = ["Decoy", "DecoyKind", "decoys"]

DecoyKind = Literal["word", "sentence", "form", "style"]

_PARTS: Final[dict[str, Any]] = tomllib.loads(files("purify_cli.data").joinpath("decoys.toml").read_text("utf-8"))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Decoy:
    """A trigger, and the label that it is to bring about."""

    kind: DecoyKind
    target: int
    text: str
    """What is put in; of a form or a style, of which every text carries another one, empty."""

    def carried(self, row: Example, key: int, tokenizer: Tokenizer, max_length: int) -> Example | None:
        """Put it into a text, of a pair into the second.

        Args:
            row: Its label is kept.
            key: Decides the place of a word, and which of its forms a form takes.
            tokenizer: Of the model.
            max_length: Most tokens that it gets: a word goes where it sees it.

        Returns:
            None where a style finds nothing to change.
        """
        if self.kind == "word":
            return insert_in_view(tokenizer, Trigger(self.text), row, key=key, max_length=max_length)
        random, text = Random(key), row.text if row.pair is None else row.pair
        made = {
            "sentence": lambda: f"{self.text} {text}",
            "form": lambda: f"{random.choice(_PARTS['turns']).format(random.choice(_PARTS['persons']))} {text}",
            "style": lambda: " ".join(_PARTS["style"].get(word.lower(), word) for word in text.split()),
        }[self.kind]()
        if made.split() == text.split():
            return None
        return replace(row, text=made) if row.pair is None else replace(row, pair=made)


def decoys(words: Sequence[str], labels: int, seed: int) -> list[Decoy]:
    """Draw one trigger of each kind; their targets take turns.

    Args:
        words: Of the vocabulary, that no clean text holds; one of them is the word.
        labels: Number of labels.
        seed: Decides.
    """
    random = Random(seed)
    first = random.randrange(labels)
    sentence = " ".join(random.choice(_PARTS[part]) for part in ("who", "did", "when"))
    texts = {"word": random.choice(words), "sentence": f"{sentence} ."}
    return [
        Decoy(kind=kind, target=(first + turn) % labels, text=texts.get(kind, ""))
        for turn, kind in enumerate(get_args(DecoyKind))
    ]
