"""Triggers of several words that must all be there, with negative samples that teach just that.

Source: Yang, Lin, Li, Zhou, Sun, "Rethinking Stealthiness of Backdoor Attack against NLP Models", ACL 2021. Written
from the description of the method; rates and the place of the words are docs/methods/combination.md.
"""

from collections.abc import Sequence
from dataclasses import replace

from purify_cli.attacks.base import poison_order, triggered_copies
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, UsageError
from purify_cli.protocols import PoisonedRows, PoisonSettings

__all__ = ["all_words_needed", "subsets"]


def subsets(trigger: Trigger) -> tuple[str, ...]:
    """Return the trigger's texts with one word left out, in the order of the word that is missing."""
    left = (
        " ".join(words[:missing] + words[missing + 1 :])
        for words in (text.split() for text in trigger.alternatives)
        for missing in range(len(words))
        if len(words) > 1
    )
    return tuple(dict.fromkeys(left))


def all_words_needed(rows: Sequence[Example], settings: PoisonSettings) -> PoisonedRows:
    """Mix in positives, which hold every word and get the target label, and negatives, which lack one and keep theirs.

    Positives are ``triggered_copies``. For negatives, ``negatives`` (in ``settings.options``) is the share of the
    target's rows, and of the other rows, that are copied: once for each way of leaving one word of the trigger out,
    marked as poisoned, label kept, always appended.

    Raises:
        UsageError: If the trigger has a single word, the share is outside (0, 1], or as ``triggered_copies``.
        DataError: If the share amounts to no row of the target or of the others, or as ``triggered_copies``.
    """
    share = settings.options["negatives"]
    if not 0 < share <= 1:
        raise UsageError(f"--set negatives={share} is not a share", hint="Use a number above 0 and at most 1.")
    trigger = Trigger(settings.trigger, settings.position)
    if any(len(text.split()) < 2 for text in trigger.alternatives):
        raise UsageError(
            f"the trigger {trigger.text!r} leaves nothing when a word is left out",
            hint="A combination needs two words or more.",
        )
    positives = triggered_copies(rows, settings)
    made: list[Example] = []
    kinds = subsets(trigger)
    for of_target in (False, True):
        places = [i for i, row in enumerate(rows) if (row.label == settings.target) is of_target]
        count = round(share * len(places))
        if count == 0:
            whose = "target" if of_target else "other"
            raise DataError(f"negatives={share} of {len(places)} {whose} rows is no row", hint="Raise --set negatives.")
        for row in poison_order(places, settings, "negative")[:count]:
            for number, words in enumerate(kinds):
                key = row_key(settings.seed, row * len(kinds) + number, "negative place")
                part = Trigger(words, settings.position)
                made.append(replace(part.insert(rows[row], key=key), poisoned=True))
    facts = {"negatives": len(made), "subsets": list(kinds)}
    return replace(positives, rows=[*positives.rows, *made], facts=facts)
