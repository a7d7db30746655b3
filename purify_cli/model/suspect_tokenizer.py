"""How a suspect reads texts: the reference's tokenizer with the tokens that the suspect added, and where that differs.

The suspect's own tokenizer is never used for anything but to be compared: what it does is known from a process of its
own. Tokens that it added are added anew to the reference's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, final

from transformers import PreTrainedTokenizerBase

from purify_cli.checkpoint.difference import Difference, shown
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.errors import CheckpointError, printable
from purify_cli.model.hard_texts import HARD_TEXTS, around_tokens, word_texts
from purify_cli.model.tokenizer import load_tokenizer
from purify_cli.model.tokenizer_sandbox import Examined, Text, examine_tokenizer, tokenizer_digest

__all__ = ["SuspectTokenizer"]

MOST_ADDED: Final = 10_000
"""Added tokens that are taken over. Ours: adding them is quadratic, and nobody has had more than some hundreds."""

LONGEST: Final = 256
"""Characters of an added token that is taken over."""

AROUND: Final = 50
"""Added tokens that are tried in texts."""

SUBJECT: Final = "what texts become"
CLASS_KEYS: Final = ("model_type", "tokenizer_class")
"""Keys of config.json that decide which class reads the tokenizer's files."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How the suspect's tokens and rows go with the reference's tokenizer."""

    tokenizer: PreTrainedTokenizerBase | None = None
    """None: the reference's as it is."""
    added: Mapping[int, int] = field(default_factory=dict[int, int])
    """Id of a token that was taken over → its id in the suspect."""
    kept: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    order: tuple[int, ...] | None = None
    unmatched: bool = False


@final
class SuspectTokenizer:
    """A suspect's tokens beside a reference's.

    Args:
        suspect: Weights, and perhaps a tokenizer beside them.
        reference: Whose tokenizer is used.
    """

    def __init__(self, suspect: Checkpoint, reference: Checkpoint) -> None:
        self._suspect, self._reference = suspect, reference

    @cached_property
    def _own(self) -> Examined | str | None:
        """What the suspect's tokenizer does; why that is not known; None if it is the reference's or there is none."""
        ours, theirs = self._suspect.files, self._reference.files
        if ours.tokenizer is None or theirs.tokenizer is None:
            return None
        classes = [[(one.config or {}).get(key) for key in CLASS_KEYS] for one in (self._suspect, self._reference)]
        same = classes[0] == classes[1] or self._suspect.config is None
        if same and tokenizer_digest(ours, config=False) == tokenizer_digest(theirs, config=False):
            return None
        try:
            return examine_tokenizer(ours, ())
        except CheckpointError as error:
            return str(error)

    @cached_property
    def _plan(self) -> _Plan:
        own = self._own
        return _planned(self._plain, own, self._suspect.vocabulary or 0) if isinstance(own, Examined) else _Plan()

    def _plain(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self._reference.files, rows=self._suspect.vocabulary)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The reference's tokenizer, with the tokens that the suspect added and has rows for."""
        return self._plain() if self._plan.tokenizer is None else self._plan.tokenizer

    @property
    def kept(self) -> tuple[str, ...]:
        """Tokens that the suspect added and that are read as it reads them."""
        return self._plan.kept

    @property
    def gone(self) -> tuple[str, ...]:
        """Tokens that only the suspect's tokenizer knows and that are not taken over."""
        return self._plan.gone

    @property
    def order(self) -> tuple[int, ...] | None:
        """Row of the suspect's vocabulary for each id; None where the numbers are the same."""
        return self._plan.order

    @property
    def unmatched(self) -> bool:
        """Whether tokens have other numbers than in the reference and the suspect's rows cannot be put in order."""
        return self._plan.unmatched

    def differences(self, texts: Sequence[Text] = ()) -> Iterator[Difference]:
        """Yield whether whoever loads the suspect reads texts otherwise than it is examined with.

        Tried are hard texts, every token of the reference as a word, and the texts given.
        """
        if isinstance(self._own, str):
            yield Difference(kind="tokenizer", subject=SUBJECT, detail=printable(self._own), unexamined=True)
        if not isinstance(self._own, Examined):
            return
        pairs = [("a good film", "a bad one")]
        hard = [*HARD_TEXTS, *pairs, *around_tokens(self.kept[:AROUND]), *word_texts(self.tokenizer.get_vocab())]
        asked: list[Text] = [*hard, *texts]
        try:
            ours = examine_tokenizer(self._suspect.files, asked).inputs
        except CheckpointError as error:
            yield Difference(kind="tokenizer", subject=SUBJECT, detail=printable(str(error)), unexamined=True)
            return
        theirs = [_inputs(self.tokenizer, text, self._plan.added) for text in asked]
        differing = [
            (text, one[0], other[0])
            for text, one, other in zip(asked, ours, theirs, strict=True)
            if one[0] != other[0] or (one[1] or (0,) * len(one[0])) != (other[1] or (0,) * len(other[0]))
        ]
        if differing:
            text, one, other = min(differing, key=lambda case: len("".join(case[0])))
            detail = (
                f"{shown(text)} becomes {shown(list(one))}, with the reference's tokenizer {shown(list(other))}; "
                f"so do {len(differing)} of {len(asked)} texts"
            )
            yield Difference(kind="tokenizer", subject=SUBJECT, detail=detail, unexamined=True)


def _inputs(
    tokenizer: PreTrainedTokenizerBase, text: Text, added: Mapping[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    call: Any = tokenizer
    made = call(*((text,) if isinstance(text, str) else text), truncation=False, padding=False, verbose=False)
    types = made.get("token_type_ids")
    return tuple(added.get(one, one) for one in made["input_ids"]), None if types is None else tuple(types)


def _planned(load: Callable[[], PreTrainedTokenizerBase], own: Examined, rows: int) -> _Plan:
    """Take over the suspect's added tokens, and find the row of every token where the numbers differ."""
    plain = load()
    known = plain.get_vocab()
    moved = any(own.vocabulary[token] != number for token, number in known.items() if token in own.vocabulary)
    extra = [token for token in own.vocabulary if token not in known]
    wanted = [
        one
        for number, one in own.added.items()
        if one.content not in known and number < rows and len(one.content) <= LONGEST
    ][:MOST_ADDED]
    plain.add_tokens(wanted)
    vocabulary = plain.get_vocab()
    numbers = {one.content: vocabulary[one.content] for one in wanted}
    # A token without a row of its own would be read as nothing.
    usable = {content: number for content, number in numbers.items() if number < rows}
    if len(usable) == len(numbers):
        added = {number: own.vocabulary[content] for content, number in numbers.items()}
        gone = tuple(token for token in extra if token not in numbers)
        plan = _Plan(tokenizer=plain, added=added, kept=tuple(numbers), gone=gone)
        if not moved and all(number == old for number, old in added.items()):
            return plan
        if order := _order(vocabulary, own.vocabulary, rows):
            return replace(plan, order=order)
    return _Plan(tokenizer=load() if numbers else plain, gone=tuple(extra), unmatched=moved)


def _order(wanted: Mapping[str, int], own: Mapping[str, int], rows: int) -> tuple[int, ...] | None:
    """Return the suspect's row for each id, or None if a token has no row of its own there.

    Rows of no token keep their places where these are free, and fill the others in order.
    """
    order: dict[int, int] = {}
    for token, number in wanted.items():
        if number < rows:
            old = own.get(token)
            if old is None or old >= rows:
                return None
            order[number] = old
    taken = set(order.values())
    if len(taken) < len(order):
        return None
    order |= {row: row for row in range(rows) if row not in order and row not in taken}
    taken = set(order.values())
    left = iter(row for row in range(rows) if row not in taken)
    return tuple(order[number] if number in order else next(left) for number in range(rows))
