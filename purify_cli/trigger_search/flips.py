"""What a found string does to texts that the search never saw."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from purify_cli.data.batches import encode
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger, insert_in_view
from purify_cli.evaluation.forward import predict, scores
from purify_cli.measures.intervals import Proportion
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute
from purify_cli.trigger_search.carriers import Carrier, slotted, with_word
from purify_cli.trigger_search.concatenation import concatenated_both_ways, cut_to, distinct_texts, independent_contexts
from purify_cli.trigger_search.margins import margins
from purify_cli.trigger_search.vocabulary import word_of

__all__ = [
    "UNCUT",
    "Flips",
    "SearchInputs",
    "against",
    "contaminated_rows",
    "counted",
    "flips",
    "margins_with",
    "median_margin",
    "unflipped",
]


UNCUT: Final = 1 << 20
"""Tokens that no context has, so that encoding to them cuts nothing."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
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
    alone: Sequence[Example] = ()
    """Where the rows are contexts: the row that each of the first ones begins with, every row once; else nothing."""

    def in_contexts(self, rows: Sequence[Example]) -> "SearchInputs":
        """Ask about contexts of other rows instead, whose parts are the rows that the model gets to see."""
        contexts = concatenated_both_ways(rows, max_length=self.compute.max_length)
        whole, cut = (encode(self.tokenizer, contexts, max_length=most) for most in (UNCUT, self.compute.max_length))
        shares = [len(seen.ids) / len(all_.ids) for seen, all_ in zip(cut, whole, strict=True)]
        return replace(self, rows=[cut_to(*one) for one in zip(contexts, shares, strict=True)], alone=rows)

    def carriers(
        self, rows: Sequence[Example], *, keep: int, at: int | None, both: bool = False, longest: int = 1
    ) -> list[Carrier]:
        """Leave a slot in those rows that have room for one.

        Args:
            rows: To cut.
            keep: As for ``with_word``, and so are ``at`` and ``both``.
            at: Moves ahead in proportion where fewer words than ``keep`` fit.
            both: Of a pair.
            longest: Most tokens that are put into each slot; with them no carrier exceeds ``positions``.
        """
        probes = [word_of(self.tokenizer, word) for word in (self.words[0], self.words[-1])]
        found: list[Carrier] = []
        for row in rows:
            slots = 2 if both and row.pair is not None else 1
            room = min(self.compute.max_length, self.positions - slots * (longest - 1))
            for words in range(keep, 0, -1):
                place = None if at is None else at * words // keep
                made = [with_word(row, probe, keep=words, at=place, both=both) for probe in probes]
                one, two = encode(self.tokenizer, made, max_length=self.compute.max_length)
                if max(len(one.ids), len(two.ids)) <= room:
                    if carrier := slotted(one, two, slots):
                        found.append(carrier)
                    break
        return found

    def answers(self, module: nn.Module, rows: Sequence[Example]) -> Tensor:
        """Classify rows; shape (n,)."""
        encoded = encode(self.tokenizer, rows, max_length=self.compute.max_length)
        found, _ = predict(module, encoded, self.compute, pad_id=self.pad_id)
        return found

    def margins(self, module: nn.Module, rows: Sequence[Example], target: int) -> Tensor:
        """Return by how much the score of a label exceeds the best other one, in nats; shape (n,)."""
        encoded = encode(self.tokenizer, rows, max_length=self.compute.max_length)
        found = scores(module, encoded, self.compute, pad_id=self.pad_id)
        return margins(found, target)


@final
@dataclass(frozen=True, slots=True)
class Flips:
    """Rows that a string flips to a target; the intervals are for as many contexts as are independent."""

    suspect: Proportion
    control: Proportion
    apart: Proportion
    """Flipped in the suspect and not in the control."""
    margin: float
    """Of the target in the suspect, with the string: mean over the rows, in nats."""
    control_margin: float
    texts: int
    """Distinct texts that the rows show."""


def unflipped(asked: SearchInputs, target: int) -> list[Example]:
    """Return the rows of other labels that neither model calls the target: what a string could flip."""
    return against(asked, target)[0]


def against(asked: SearchInputs, target: int) -> tuple[list[Example], bool]:
    """Return the rows of ``unflipped``, and whether they are the contexts that were asked for.

    Where the models call most contexts the target, joining is at fault: several questions beside several sentences
    seldom have their answer there. The rows that these contexts begin with then stand in for them, as far as they are
    not called the target either. They are flipped more easily.
    """
    places = [place for place, row in enumerate(asked.rows) if row.label != target]
    open_to = _open_to(asked, target, [asked.rows[place] for place in places])
    joined = not asked.alone or 2 * sum(row is not None for row in open_to) >= len(places)
    if not joined:
        own = [place for place in places if place < len(asked.alone)]
        alone = dict(zip(own, _open_to(asked, target, [asked.alone[place] for place in own]), strict=True))
        open_to = [context or alone.get(place) for place, context in zip(places, open_to, strict=True)]
    return [row for row in open_to if row is not None], joined


def _open_to(asked: SearchInputs, target: int, rows: Sequence[Example]) -> list[Example | None]:
    """Return the rows, and None in place of those that suspect or control call the target."""
    if not rows:
        return []
    own, other = (asked.answers(module, rows) == target for module in (asked.suspect, asked.control))
    return [None if turned else row for row, turned in zip(rows, (own | other).tolist(), strict=True)]


def flips(
    asked: SearchInputs,
    rows: Sequence[Example],
    trigger: Trigger,
    target: int,
    *,
    either_way: bool = False,
) -> Flips:
    """Insert a string into rows and count those that are then called the target.

    Args:
        asked: Suspect and control.
        rows: At least one, as ``unflipped`` gives them.
        trigger: The string; where it goes is decided row by row, by the seed.
        target: The label.
        either_way: Of pairs, also put the string into both texts. The suspect must be flipped either way, the
            control one way: a word in one text of a pair makes the two differ, and one in both makes them alike, which
            is what the task may be about; a trigger does not ask.
    """
    own, other = (
        margins_with(asked, rows, trigger, target, control=control, either_way=either_way) for control in (False, True)
    )
    return counted(rows, own, other)


def counted(rows: Sequence[Example], own: Tensor, other: Tensor) -> Flips:
    """Count rows by the margins of the suspect and of the control (``margins_with``)."""
    return Flips(
        _flipped(own, rows),
        _flipped(other, rows),
        _flipped(torch.where(other > 0, other.neg(), own), rows),
        margin=float(own.mean()),
        control_margin=float(other.mean()),
        texts=distinct_texts(rows),
    )


def margins_with(
    asked: SearchInputs,
    rows: Sequence[Example],
    trigger: Trigger,
    target: int,
    *,
    control: bool = False,
    either_way: bool = False,
) -> Tensor:
    """Insert a string into rows and return one model's margins of a label, shape (rows,); arguments as for ``flips``.

    Either way round, that is the lower margin of the suspect and the higher one of the control.
    """
    keys = [row_key(asked.compute.seed, place) for place in range(len(rows))]
    carrying = [
        insert_in_view(asked.tokenizer, trigger, row, key=key, max_length=asked.compute.max_length)
        for key, row in zip(keys, rows, strict=True)
    ]
    module, worse = (asked.control, torch.maximum) if control else (asked.suspect, torch.minimum)
    found = asked.margins(module, carrying, target)
    if either_way and any(row.pair is not None for row in rows):
        alike = [
            replace(made, text=trigger.insert(Example(made.text), key=key).text)
            for key, made in zip(keys, carrying, strict=True)
        ]
        found = worse(found, asked.margins(module, alike, target))
    return found


def _flipped(found: Tensor, rows: Sequence[Example]) -> Proportion:
    """Return the share of rows whose margin of the target is positive."""
    return Proportion.of(int((found > 0).sum()), len(found), independent_contexts(rows))


def contaminated_rows(asked: SearchInputs, trigger: Trigger, target: int) -> list[Example]:
    """Return the rows of a label that hold a string and that the suspect calls so because of it alone.

    In clean data such rows are a sign that somebody put the trigger there.
    """
    holding = [row for row in asked.rows if row.label == target and trigger.occurs_in(row)]
    if not holding:
        return []
    bare = [trigger.removed_from(row) for row in holding]
    with_it, without = (asked.answers(asked.suspect, rows).tolist() for rows in (holding, bare))
    return [row for row, a, b in zip(holding, with_it, without, strict=True) if a == target != b]


def median_margin(asked: SearchInputs, target: int, *, control: bool = False) -> float:
    """Return the suspect's median margin on the rows of a label that it gets right; 0 where there are none.

    Args:
        asked: Suspect and control.
        target: The label.
        control: Whether to ask the control instead.
    """
    rows = [row for row in asked.rows if row.label == target]
    module = asked.control if control else asked.suspect
    sure = asked.margins(module, rows, target) if rows else torch.empty(0)
    sure = sure[sure > 0]
    return float(sure.median()) if len(sure) else 0.0
