"""What is asked of every model: rows as they are, and rows that carry the trigger.

Attack success is asked of rows whose true label is not the target. A bias (``bias=True``) is asked of rows of every
class, since what tells is the accuracy on all rows that carry the pattern.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from purify_cli.data.batches import Encoded, encode
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.data.triggers import Trigger, visibility
from purify_cli.errors import DataError, UsageError

__all__ = ["Question", "ask"]


@final
@dataclass(frozen=True, slots=True)
class Question:
    """Encoded rows, ready for any model with the same tokenizer."""

    clean: tuple[Encoded, ...]
    """All rows; each has a label."""
    triggered: tuple[Encoded, ...]
    """Rows with the trigger in sight and their true labels: of other classes than the target, or with ``bias`` of all.
    ``index`` is the place among the rows that the trigger was inserted into, or among those that carried it."""
    dropped: int
    """Rows whose trigger is lost to the length limit."""
    target: int | None
    pad_id: int
    bias: bool = False
    """Whether ``triggered`` holds rows of all classes."""
    inserted: bool = True
    """Whether the triggered rows are the clean ones with the trigger put in, so that the two can be compared row by
    row."""


def ask(
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    *,
    trigger: Trigger | None,
    target: int | None,
    max_length: int,
    seed: int,
    bias: bool = False,
    carrying: Sequence[Example] | None = None,
) -> Question:
    """Insert the trigger (or take rows that carry one), encode, and see which rows still show it.

    Args:
        tokenizer: The reference's tokenizer.
        examples: Labelled rows.
        trigger: None without ``carrying`` measures accuracy only.
        target: Class the trigger is meant to bring about; without a trigger, only the target rate is measured.
        max_length: Most tokens of a row.
        seed: Decides random positions, row by row.
        bias: Put the trigger into rows of every class, for accuracy under it.
        carrying: Rows with true labels that hold a trigger already (a paraphrase, say); taken as they are. What
            truncation does to an unknown trigger cannot be seen, so that none of them counts as lost.

    Raises:
        UsageError: If there is a trigger but no target, or both a trigger and rows that carry one.
        DataError: If there are no rows, a row has no label, all rows are of the target class, the tokenizer does not
            know the trigger, or truncation removes it from every row.
    """
    if trigger is not None and carrying is not None:
        raise UsageError("rows that carry a trigger need none put in", hint="Give --trigger or --triggered.")
    if target is None and (trigger is not None or carrying is not None):
        raise UsageError("a trigger needs a target label", hint="Say with --target which class it should bring about.")
    _check(examples, target)
    source = examples
    if carrying is not None:
        _check(carrying, target)
        source = carrying
    asked = [i for i, example in enumerate(source) if bias or example.label != target]
    shown: list[Encoded] = []
    if trigger is not None or carrying is not None:
        rows = [source[i] if trigger is None else trigger.insert(source[i], key=row_key(seed, i)) for i in asked]
        visible = None if trigger is None else visibility(tokenizer, trigger)
        shown = [
            Encoded(row.ids, row.type_ids, row.label, asked[row.index])
            for row in encode(tokenizer, rows, max_length=max_length)
            if visible is None or visible(row.ids)
        ]
    if trigger is not None and all(row.label == target for row in shown):
        raise DataError(
            f"the trigger {trigger.text!r} is cut off in all {sum(row.label != target for row in source)} rows",
            hint=f"Raise --max-length (now {max_length}), or put the trigger at the start.",
        )
    return Question(
        clean=tuple(encode(tokenizer, examples, max_length=max_length)),
        triggered=tuple(shown),
        dropped=len(asked) - len(shown) if trigger is not None else 0,
        target=target,
        # A tokenizer without a padding token leaves the choice free: padded positions have attention 0.
        pad_id=getattr(tokenizer, "pad_token_id", None) or 0,
        bias=bias,
        inserted=carrying is None,
    )


def _check(rows: Sequence[Example], target: int | None) -> None:
    if not rows:
        raise DataError("there is no row to measure on", hint="Give at least one labelled row.")
    unlabelled = sum(row.label is None for row in rows)
    if unlabelled:
        raise DataError(f"{unlabelled} of {len(rows)} rows have no label", hint="Evaluation needs true labels.")
    if target is not None and all(row.label == target for row in rows):
        raise DataError(
            f"all {len(rows)} rows have the target label {target}",
            hint="Attack success is measured on rows of the other classes; add some.",
        )
