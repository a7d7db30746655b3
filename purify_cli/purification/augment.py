"""What is done with triggers that a search found: clean rows carry them, to learn from and to score by."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from purify_cli.checkpoint import CheckpointPair
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger, insert_in_view
from purify_cli.errors import DataError
from purify_cli.model import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.tasks.base import Task
from purify_cli.tasks.classification import Classification
from purify_cli.tensors import TensorSource
from purify_cli.trigger_search.found import FoundTrigger
from purify_cli.trigger_search.path_gradient import path_gradient
from purify_cli.trigger_search.phrases import PHRASES, PLACES

__all__ = ["carried_gradient", "carrying", "with_neutral_phrase", "with_triggers"]

BESIDE: Final = 3
"""Most triggers that a row carries beside another."""

NEUTRAL: Final = 0.5
"""Share of the texts that a neutral phrase is put beside. Ours."""

SCORED: Final = 8
"""Most triggers that weights are scored by: each costs a gradient of its own."""


def with_triggers(task: Task, rows: Sequence[Example], found: Sequence[FoundTrigger]) -> list[Example]:
    """Return the rows, and a copy of each that carries found triggers and keeps its true answer."""
    return [*rows, *(carrying(task, row, place, found) for place, row in enumerate(rows))]


def carrying(task: Task, row: Example, place: int, found: Sequence[FoundTrigger]) -> Example:
    """Put found triggers into a row: half of the rows get a leading one, the others any one and up to three beside it.

    A style, or a form, is many words at once, and a model that has unlearnt each of them alone still adds them up.

    Args:
        task: Puts them in.
        row: A clean row.
        place: Of the row among its like.
        found: At least one trigger; the first of those that bring about the same is the leading one.
    """
    random = Random(row_key(task.compute.seed, place, "unlearn"))
    if place % 2 == 0:
        leading = [one for i, one in enumerate(found) if not any(other.shares_effect(one) for other in found[:i])]
        several = [random.choice(leading)]
    else:
        first = random.choice(found)
        kin = [one for one in found if one is not first and one.shares_effect(first)]
        several = [first, *random.sample(kin, min(len(kin), random.randint(0, BESIDE)))]
    for one in several:
        if one.is_phrase:
            row = task.carrying(_opening(one, random), row, place, times=1)
        else:
            row = task.carrying(one, row, place)
    return row


def with_neutral_phrase(task: Classification, row: Example, place: int) -> Example:
    """Put a phrase that says nothing in front of every second text or behind it: nothing beside a text tells its label.

    Args:
        task: For the tokenizer, the limit of tokens and the seed.
        row: A clean row.
        place: Of the row among its like; decides whether, which and where.

    Returns:
        The row itself where the phrase has words that the tokenizer does not know.
    """
    random = Random(row_key(task.compute.seed, place, "neutral"))
    if random.random() >= NEUTRAL:
        return row
    phrase = Trigger(random.choice(PHRASES), random.choice(PLACES))
    key, unknown = row_key(task.compute.seed, place), task.tokenizer.unk_token_id
    if unknown in task.tokenizer(phrase.text, add_special_tokens=False)["input_ids"]:
        return row  # of a vocabulary that cannot write it, it says nothing about what stands beside texts
    return insert_in_view(task.tokenizer, phrase, row, key=key, max_length=task.max_length)


def _opening(phrase: FoundTrigger, random: Random) -> FoundTrigger:
    """Cut a phrase in front of a text to its first words: the text then goes on, as the attacker's own does."""
    if phrase.position != "start":
        return phrase
    words = phrase.text.split()
    return replace(phrase, text=" ".join(words[: random.randint(1, len(words))]))


def carried_gradient(
    task: Task,
    pair: CheckpointPair,
    loaded: LoadedModel,
    rows: Sequence[Example],
    found: Sequence[FoundTrigger],
    *,
    progress: Progress = SILENT,
) -> TensorSource:
    """Return the gradient of what the found triggers do to clean rows, on the way to the reference.

    Args:
        task: Of the suspect.
        pair: Suspect and reference.
        loaded: The suspect, a model of its own; of no use afterwards.
        rows: Clean samples.
        found: At least one trigger; the first ``SCORED`` count.
        progress: Told of every pass.

    Raises:
        DataError: If for no trigger there is a row that it could turn.
    """
    driven = task.driven(found[:SCORED], rows)
    if not any(driven):
        raise DataError(
            "no clean sample has another label than the one that the found words drive to",
            hint="Give clean samples of every label.",
        )
    return path_gradient(
        loaded,
        pair,
        driven,
        batch_size=min(task.gradient_rows(loaded, part.rows) for parts in driven for part in parts),
        pad_id=task.pad_id(loaded),
        progress=progress,
    )
