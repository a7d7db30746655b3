"""What is asked of every model: rows as they are, and the same rows with the trigger inserted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from purify_cli.data.batches import Encoded, encode
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.data.triggers import Trigger, contains_run, trigger_forms
from purify_cli.errors import DataError, UsageError

__all__ = ["Question", "ask"]


@final
@dataclass(frozen=True, slots=True)
class Question:
    """Encoded rows, ready for any model with the same tokenizer."""

    clean: tuple[Encoded, ...]
    """All rows; each has a label."""
    triggered: tuple[Encoded, ...]
    """Rows of other classes than the target with the trigger in sight; true labels."""
    dropped: int
    """Rows of other classes whose trigger is lost to the length limit."""
    target: int | None
    pad_id: int


def ask(
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    *,
    trigger: Trigger | None,
    target: int | None,
    max_length: int,
    seed: int,
) -> Question:
    """Insert the trigger, encode, and see which rows still show it.

    Args:
        tokenizer: The reference's tokenizer.
        examples: Labelled rows.
        trigger: None measures accuracy only.
        target: Class the trigger is meant to bring about; without a trigger, only the target rate is measured.
        max_length: Most tokens of a row.
        seed: Decides random positions, row by row.

    Raises:
        UsageError: If there is a trigger but no target.
        DataError: If there are no rows, a row has no label, all rows are of the target class, the tokenizer does not
            know the trigger, or truncation removes it from every row.
    """
    if trigger is not None and target is None:
        raise UsageError("a trigger needs a target label", hint="Say with --target which class it should bring about.")
    if not examples:
        raise DataError("there is no row to measure on", hint="Give at least one labelled row.")
    unlabelled = sum(example.label is None for example in examples)
    if unlabelled:
        raise DataError(f"{unlabelled} of {len(examples)} rows have no label", hint="Evaluation needs true labels.")
    others = [i for i, example in enumerate(examples) if example.label != target]
    if target is not None and not others:
        raise DataError(
            f"all {len(examples)} rows have the target label {target}",
            hint="Attack success is measured on rows of the other classes; add some.",
        )
    clean = tuple(encode(tokenizer, examples, max_length=max_length))
    shown: list[Encoded] = []
    if trigger is not None:
        forms = trigger_forms(tokenizer, trigger)
        inserted = [trigger.insert(examples[i], key=row_key(seed, i)) for i in others]
        shown = [
            Encoded(row.ids, row.type_ids, row.label, others[row.index])
            for row in encode(tokenizer, inserted, max_length=max_length)
            if contains_run(row.ids, forms)
        ]
        if not shown:
            raise DataError(
                f"the trigger {trigger.text!r} is cut off in all {len(others)} rows",
                hint=f"Raise --max-length (now {max_length}), or put the trigger at the start.",
            )
    # A tokenizer without a padding token leaves the choice free: padded positions have attention 0.
    pad_id = getattr(tokenizer, "pad_token_id", None) or 0
    return Question(clean, tuple(shown), len(others) - len(shown) if trigger else 0, target, pad_id)
