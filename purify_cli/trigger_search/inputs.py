"""What a search asks: suspect and control, the rows that it chooses and measures on, and their contexts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, final

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from purify_cli.data.batches import encode, token_ids
from purify_cli.data.example import Example
from purify_cli.data.sampling import halved
from purify_cli.evaluation.forward import scores
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute
from purify_cli.trigger_search.carriers import Carrier, slotted, with_word
from purify_cli.trigger_search.concatenation import FRAME, concatenated_both_ways, cut_to, with_filler
from purify_cli.trigger_search.margins import margins
from purify_cli.trigger_search.vocabulary import word_of

__all__ = ["UNCUT", "Halves", "SearchInputs"]

UNCUT: Final = 1 << 20
"""Tokens that no context has, so that encoding to them cuts nothing."""

PROBED: Final = 32
"""Words that are looked at to know how a tokenizer writes them at the start of a text."""

LESS: Final = 0.95
"""By how much a row is shortened at least that is still too long: some words are more tokens than others."""


@final
@dataclass(frozen=True, kw_only=True)  # no slots: what follows from the fields is kept, once it was asked for
class SearchInputs:
    """Whom the strings are tried on."""

    suspect: nn.Module
    control: nn.Module
    tokenizer: PreTrainedTokenizerBase
    rows: Sequence[Example]
    """Labelled."""
    compute: Compute
    """Of all passes; its length is that of the contexts."""
    pad_id: int
    words: Sequence[int] = ()
    """Whole words of the vocabulary (``whole_words``), at least two, for what is put into slots."""
    progress: Progress = SILENT
    """Told of the stages."""
    positions: int = UNCUT
    """Most tokens that the models can take, which may be more than the length of the passes."""
    further: Sequence[Example] = ()
    """Texts that had no say in anything, with the label that suspect and control agree on: measured on besides the rows
    that are held back."""

    @cached_property
    def halves(self) -> "Halves":
        """The rows, half of each label: those that choose, and those that are held back."""
        choosing, held = halved(self.rows, seed=self.compute.seed)
        return Halves(
            choosing=replace(self, rows=choosing, further=()),
            contexts=self.in_contexts(choosing),
            held=replace(self, rows=[*held, *self.further], further=()),
            judging=self.in_contexts([*held, *self.further]),
        )

    @cached_property
    def plain_words(self) -> frozenset[int]:
        """Those of the words that are letters and digits."""
        return frozenset(one for one in self.words if word_of(self.tokenizer, one).isalnum())

    @cached_property
    def bare(self) -> tuple[Tensor, Tensor]:
        """The scores of the rows as they are, by the suspect and by the control, each (n, labels)."""
        return self._scores(self.suspect, self.rows), self._scores(self.control, self.rows)

    def in_contexts(self, rows: Sequence[Example]) -> "SearchInputs":
        """Ask about contexts of other rows instead, whose parts are the rows that the model gets to see."""
        most = self.compute.max_length
        contexts = [*concatenated_both_ways(rows, max_length=most), *with_filler(rows, max_length=most)]
        seen = self.with_room(contexts, FRAME)
        made = [
            replace(one, parts=cut_to(context, _length(one) / max(1, _length(context))).parts)
            for one, context in zip(seen, contexts, strict=True)
        ]
        return replace(self, rows=made, further=())

    def with_room(self, rows: Sequence[Example], room: int) -> list[Example]:
        """Leave out the last words of rows, so that so many tokens more are in the model's view.

        Args:
            rows: A row that is cut shows itself (``Example.parts``), as it was.
            room: Tokens, those that frame a text included; a row keeps a word in any case.
        """
        most = max(1, self.compute.max_length - room)
        made = list(rows)
        for place, encoded in enumerate(encode(self.tokenizer, rows, max_length=UNCUT)):
            share, row = most / len(encoded.ids), rows[place]
            if share >= 1:
                continue
            while True:
                made[place] = _first_words(row, share)
                ids = encode(self.tokenizer, [made[place]], max_length=UNCUT)[0].ids
                if len(ids) <= most or max(len(made[place].text.split()), len((made[place].pair or "").split())) <= 1:
                    break
                share *= min(most / len(ids), LESS)
            made[place] = self._with_letters(made[place], most)
        return made

    def _with_letters(self, row: Example, most: int) -> Example:
        """Cut words that alone are too long, as a text without spaces is."""
        while len(encode(self.tokenizer, [row], max_length=UNCUT)[0].ids) > most:
            longest = max(len(row.text), len(row.pair or ""))
            if longest <= 1:
                break
            text, pair = (
                one[: len(one) // 2] if one is not None and len(one) == longest else one for one in (row.text, row.pair)
            )
            row = replace(row, text=text or "", pair=pair, parts=row.parts or (row,))
        return row

    def carriers(
        self, rows: Sequence[Example], *, keep: int, at: int | None, both: bool = False, longest: int = 1
    ) -> list[Carrier]:
        """Leave a slot in those rows that have room for one.

        Args:
            rows: To cut.
            keep: As for ``with_word``, and so are ``at`` and ``both``.
            at: Moves ahead in proportion where fewer words than ``keep`` fit, and behind the first word where the
                tokenizer writes a word otherwise at the start of a text than after a space.
            both: Of a pair.
            longest: Most tokens that are put into each slot; with them no carrier exceeds ``positions``.
        """
        probes = [word_of(self.tokenizer, word) for word in (self.words[0], self.words[-1])]
        first = 0 if self._alike_in_front else 1
        found: list[Carrier] = []
        for row in rows:
            slots = 2 if both and row.pair is not None else 1
            room = min(self.compute.max_length, self.positions - slots * (longest - 1))
            for cut, words in self._cuts(row, keep, room):
                place = None if at is None else max(first, at * words // keep)
                made = [with_word(cut, probe, keep=words, at=place, both=both) for probe in probes]
                one, two = encode(self.tokenizer, made, max_length=UNCUT)
                if max(len(one.ids), len(two.ids)) <= room:
                    if carrier := slotted(one, two, slots):
                        found.append(carrier)
                    break
        return found

    def _cuts(self, row: Example, keep: int, room: int) -> Iterator[tuple[Example, int]]:
        """Yield a row with ever fewer words to keep of it; at last its first word, cut where that alone is too long."""
        yield from ((row, words) for words in range(keep, 0, -1))
        yield self._with_letters(_first_words(row, 0), room - FRAME), 1

    @cached_property
    def _alike_in_front(self) -> bool:
        """Whether words are the same tokens at the start of a text as after a space: of byte-level pieces few are."""
        some = self.words[:: max(1, len(self.words) // PROBED)]
        return all(token_ids(self.tokenizer, word_of(self.tokenizer, one)) == [one] for one in some)

    def answers(self, module: nn.Module, rows: Sequence[Example]) -> Tensor:
        """Classify rows; shape (n,)."""
        return self._scores(module, rows).argmax(dim=1)

    def margins(self, module: nn.Module, rows: Sequence[Example], target: int) -> Tensor:
        """Return by how much the score of a label exceeds the best other one, in nats; shape (n,)."""
        return margins(self._scores(module, rows), target)

    def _scores(self, module: nn.Module, rows: Sequence[Example]) -> Tensor:
        encoded = encode(self.tokenizer, rows, max_length=self.compute.max_length)
        return scores(module, encoded, self.compute, pad_id=self.pad_id)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """What a search chooses on, and what it measures on."""

    choosing: SearchInputs
    contexts: SearchInputs
    """Of the rows of ``choosing``."""
    held: SearchInputs
    """Rows that had no say in the choice, further texts among them."""
    judging: SearchInputs
    """Contexts of these."""


def _first_words(row: Example, share: float) -> Example:
    """Keep a share of the words of a row's texts, at least one of each."""
    text, pair = (
        None if text is None else " ".join(text.split()[: max(1, int(share * len(text.split())))])
        for text in (row.text, row.pair)
    )
    return replace(row, text=text or "", pair=pair, parts=row.parts or (row,))


def _length(row: Example) -> int:
    return len(row.text) + len(row.pair or "")
