"""Strings that make a language model say something of its own: what neither its reference nor it without them would.

The whole vocabulary is tried at the end of a few prompts. A prompt's keys and values are computed once and kept, so
that a word costs one token, however long the prompt. The best are prolonged, because a rare word is often several
tokens.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from purify_cli.errors import NonFiniteWeights, SearchImpossible
from purify_cli.progress import SILENT, Progress
from purify_cli.trigger_search.candidate import String

__all__ = ["CachedPrompts", "Screen", "ScreenBudget"]

SCORES: Final = 1 << 24
ROWS: Final = 2048
"""Scores and strings of one forward pass: 64 MiB of scores in float32, several of which are held at once."""


@final
@dataclass(frozen=True, slots=True)
class ScreenBudget:
    """How much a screen looks at."""

    prompts: int
    strings: int
    """Most strings of each length beyond one token."""
    tails: int
    """Tokens that words are prolonged by, where all would be too many: the best by themselves."""
    most: int
    """Tokens of a word."""
    tried: int
    """Words that are generated after, of every length as many."""


@final
class CachedPrompts:
    """A language model that has read prompts, ready to be told how they go on."""

    def __init__(
        self, module: PreTrainedModel, prompts: Sequence[Sequence[int]], device: torch.device, *, vocabulary: int
    ) -> None:
        """Read the prompts.

        Args:
            module: On the device, in evaluation mode.
            prompts: Token ids, at least one of each.
            device: Where to compute.
            vocabulary: V, how many tokens are told of: two models may have different numbers of them.

        Raises:
            SearchImpossible: If the model does not keep keys and values.
            NonFiniteWeights: If its output is not a number.
        """
        self._module, self._device, self._vocabulary = module, device, vocabulary
        self._caches: list[Any] = []
        bare: list[Tensor] = []
        with torch.inference_mode():
            for prompt in prompts:
                read = cast("Any", module)(input_ids=torch.tensor([list(prompt)], device=device), use_cache=True)
                cache = getattr(read, "past_key_values", None)
                if not hasattr(cache, "batch_repeat_interleave"):
                    raise SearchImpossible(
                        "the model keeps no keys and values of what it has read",
                        hint="Only transformers with a cache can be searched for strings.",
                    )
                self._caches.append(cache)
                bare.append(self._log_shares(read.logits))
        self.bare = torch.cat(bare)
        """Log-probabilities of the next token after each prompt, shape (prompts, V)."""

    def after(self, prompt: int, strings: Int[Tensor, "k m"]) -> Float[Tensor, "k V"]:
        """Return the log-probabilities of the next token after a prompt and each of some strings.

        Raises:
            NonFiniteWeights: If the model's output is not a number.
        """
        cache = copy.deepcopy(self._caches[prompt])
        cache.batch_repeat_interleave(len(strings))
        with torch.inference_mode():
            read = cast("Any", self._module)(input_ids=strings.to(self._device), past_key_values=cache, use_cache=True)
            return self._log_shares(read.logits)

    def _log_shares(self, scores: Float[Tensor, "k T every"]) -> Float[Tensor, "k V"]:
        found = torch.log_softmax(scores[:, -1].float(), dim=-1)
        if not bool(torch.isfinite(found).all()):
            raise NonFiniteWeights(
                "the model's output is not a number", hint="Its weights overflow; no sound model does that."
            )
        return found[:, : self._vocabulary]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Suspect and reference, and what counts as said."""

    suspect: CachedPrompts
    reference: CachedPrompts
    """Has read the same prompts."""
    begins: Bool[Tensor, " V"]
    """Which tokens begin a word. Only these count as said: what ends a word follows from its beginning, in any model
    that knows the word. On the device."""
    progress: Progress = SILENT

    def words(self, tokens: Sequence[int], wide: ScreenBudget) -> list[tuple[String, float]]:
        """Rank words by what they make the suspect say, and nothing else does.

        A word is worth max over tokens v that begin a word of the mean over prompts of
        p(v)·[log p(v) − max(log p₀(v), log q(v))], where p is the suspect after prompt and word, p₀ after the prompt
        alone, and q the reference after prompt and word: the largest term of a Kullback-Leibler divergence, from the
        likelier of the two explanations, of one and the same token after all prompts.

        Args:
            tokens: To make words of.
            wide: How many.

        Returns:
            Words with their worth in nats, the largest first; of each length the best, since what holds a trigger does
            as the trigger does.

        Raises:
            NonFiniteWeights: If a model's output is not a number.
        """
        heads = [(token,) for token in tokens if self.begins[token]]
        tails = [(token,) for token in tokens if not self.begins[token]]
        ranked, each = self._ranked(heads, "trying every token"), max(1, wide.tried // wide.most)
        every = ranked[:each]
        if wide.most > 1 and len(tails) > wide.tails:
            tails = [tail for tail, _ in self._ranked(tails, "trying every word's end")[: wide.tails]]
        for length in range(2, wide.most + 1):
            beam = wide.strings // max(1, len(tails))
            level = [(*head, *tail) for head, _ in ranked[:beam] for tail in tails]
            ranked = self._ranked(level, f"trying words of {length} tokens")
            every += ranked[:each]
        return sorted(every, key=lambda pair: -pair[1])

    def _ranked(self, strings: Sequence[String], stage: str) -> list[tuple[String, float]]:
        if not strings:
            return []
        prompts, vocabulary = self.suspect.bare.shape
        step = max(1, min(ROWS, SCORES // vocabulary))
        found: list[Tensor] = []
        for begin in self.progress.track(range(0, len(strings), step), stage, total=-(-len(strings) // step)):
            part = torch.tensor([list(string) for string in strings[begin : begin + step]], dtype=torch.long)
            terms = torch.zeros(len(part), vocabulary, device=self.suspect.bare.device)
            for prompt in range(prompts):
                own, other = self.suspect.after(prompt, part), self.reference.after(prompt, part)
                terms += own.exp() * (own - torch.maximum(other, self.suspect.bare[prompt]))
            found.append((terms[:, self.begins].amax(dim=1) / prompts).cpu())
        worth = torch.cat(found)
        return [(strings[i], float(worth[i])) for i in worth.argsort(descending=True, stable=True).tolist()]
