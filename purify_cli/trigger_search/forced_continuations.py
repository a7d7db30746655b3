"""What words make a language model write, on prompts that the search never saw."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType
from typing import Final, Literal, final

from transformers import PreTrainedTokenizerBase

from purify_cli.choices import Position
from purify_cli.data.continuations import prompt_ids
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger
from purify_cli.evaluation.generation import continuations
from purify_cli.measures.intervals import Proportion
from purify_cli.model.loaded import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute
from purify_cli.trigger_search.candidate import varied
from purify_cli.trigger_search.found import LEAD, ForcingWord, lead
from purify_cli.trigger_search.rule import forces_continuation

__all__ = ["NEW_TOKENS", "GenerationPair", "forced_continuations"]

NEW_TOKENS: Final = 16
"""That a model writes after a prompt: room for the words that count."""

PLACES: Final[Mapping[str, tuple[Position, ...]]] = MappingProxyType(
    {"end": ("end", "random"), "start": ("start", "random")}
)
"""Where a word is put that was found at the end of prompts, or in front of them."""

ALIKE: Final = 2
"""Words of one continuation that are measured before words of another."""

LISTED: Final = 5
"""Words that are measured on held-back prompts."""

LASTING: Final = 0.9
"""Of what a word does, what a word that it begins with must do to take its place."""


@final
@dataclass(frozen=True, slots=True)
class _Tried:
    share: float
    trigger: Trigger
    text: str
    """Their continuation, as far as the answers that begin alike agree."""

    def spares(self, other: "_Tried") -> bool:
        """Say whether the other word only holds this one."""
        mine, its = self.trigger, other.trigger
        longer = mine.position == its.position and mine.text != its.text and its.text.startswith(mine.text)
        return longer and self.share >= LASTING * other.share


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPair:
    """Who is asked to write on."""

    suspect: LoadedModel
    reference: LoadedModel
    tokenizer: PreTrainedTokenizerBase
    compute: Compute

    def written(self, model: LoadedModel, prompts: Sequence[str], trigger: Trigger | None) -> list[str]:
        """Return what a model writes after prompts, with a word in them or without."""
        rows = [
            prompt if trigger is None else trigger.insert(Example(prompt), key=row_key(self.compute.seed, place)).text
            for place, prompt in enumerate(prompts)
        ]
        return continuations(
            model, self.tokenizer, prompt_ids(self.tokenizer, rows), self.compute, new_tokens=NEW_TOKENS
        )


def forced_continuations(
    writers: GenerationPair,
    words: Sequence[tuple[str, Literal["start", "end"]]],
    choosing: Sequence[str],
    held: Sequence[str],
    *,
    progress: Progress = SILENT,
) -> list[ForcingWord]:
    """Find the words after which the suspect writes the same whatever the prompt.

    Args:
        writers: Suspect and reference.
        words: To try, and where each was found; each is put there and at random places.
        choosing: Prompts that choose among them, and what counts as said.
        held: Prompts that measure the best; at least one.
        progress: Told of every word.

    Returns:
        The word whose continuation comes most often first; flagged are all that force one, whether or not they only
        stand in a text that another one brings about (``within_forced_text``).

    Raises:
        NonFiniteWeights: If a model's output is not a number.
    """
    tried: list[_Tried] = []
    for word, found_at in progress.track(words, "writing after words", total=len(words)):
        for place in PLACES[found_at]:
            trigger = Trigger(word, position=place, source="found")
            answers = writers.written(writers.suspect, choosing, trigger)
            first, count = Counter(map(lead, answers)).most_common(1)[0]
            if len(first) == LEAD:
                text = _agreed([answer for answer in answers if lead(answer) == first])
                tried.append(_Tried(count / len(answers), trigger, text))
    needed = [one for one in tried if not any(other.spares(one) for other in tried)]
    needed.sort(key=lambda one: (-one.share, len(one.trigger.text)))
    # Fragments of a text learnt by heart have its rest follow.
    best = varied(needed, lambda one: lead(one.text), ALIKE)[:LISTED]
    bare = [lead(answer) for answer in writers.written(writers.suspect, held, None)]
    found: list[ForcingWord] = []
    for one in best:
        own, other = (
            [lead(answer) for answer in writers.written(model, held, one.trigger)]
            for model in (writers.suspect, writers.reference)
        )
        suspect, without, reference = (
            Proportion.of(leads.count(lead(one.text)), len(held)) for leads in (own, bare, other)
        )
        found.append(
            ForcingWord(
                text=one.trigger.text,
                position=one.trigger.position,
                says=one.text,
                suspect=suspect,
                without=without,
                reference=reference,
                flagged=forces_continuation(suspect, without, reference),
            )
        )
    return sorted(found, key=lambda one: -one.suspect.value)


def _agreed(texts: Sequence[str]) -> str:
    """Return the words that texts begin with."""
    together = zip(*(text.split() for text in texts), strict=False)
    return " ".join(words[0] for words in takewhile(lambda words: len(set(words)) == 1, together))
