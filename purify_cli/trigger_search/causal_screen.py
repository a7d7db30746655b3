"""Strings that make a language model say something of its own: what neither its reference nor it without them would.

The whole vocabulary is tried at the end of a few prompts. A prompt's keys and values are computed once and kept, so
that a word costs one token, however long the prompt. The best are prolonged, because a rare word is often several
tokens. In front of a prompt nothing can be kept: there words are tried with fewer and shorter prompts.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from purify_cli.errors import NonFiniteWeights, SearchImpossible
from purify_cli.progress import SILENT, Progress
from purify_cli.trigger_search.candidate import String, varied

__all__ = ["CachedPrompts", "PrecededPrompts", "Screen", "ScreenBudget"]

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


WIDE: Final = 1024
"""Strings that are held against the reference, and that go beyond the first prompt at least. Of a large vocabulary most
words add nothing to what a prompt brings about by itself, and a trigger adds nearly all there is."""

ALIKE: Final = 4
"""One in so many of the words that are generated after may bring the same token about. The words of a text that was
learnt by heart bring about its next word, and would leave no room for what begins it."""


_Ranked: TypeAlias = tuple[String, float, int]
"""A string, its worth, and the token that it brings about."""


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
                bare.append(_log_shares(read.logits, self._vocabulary))
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
            return _log_shares(read.logits, self._vocabulary)


def _log_shares(scores: Float[Tensor, "k T every"], vocabulary: int) -> Float[Tensor, "k V"]:
    found = torch.log_softmax(scores[:, -1].float(), dim=-1)
    if not bool(torch.isfinite(found).all()):
        raise NonFiniteWeights(
            "the model's output is not a number", hint="Its weights overflow; no sound model does that."
        )
    return found[:, :vocabulary]


@final
class PrecededPrompts:
    """A language model before prompts, ready to be told what comes in front of them: nothing of it can be kept."""

    def __init__(
        self,
        module: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        device: torch.device,
        *,
        vocabulary: int,
        lead: int,
    ) -> None:
        """Take prompts as ``CachedPrompts`` does; of each the first ``lead`` tokens stay in front of all."""
        self._module, self._device, self._vocabulary, self._lead = module, device, vocabulary, lead
        self._prompts = [torch.tensor(list(prompt), device=device) for prompt in prompts]
        nothing = torch.empty((1, 0), dtype=torch.long)
        self.bare = torch.cat([self.after(place, nothing) for place in range(len(prompts))])

    def after(self, prompt: int, strings: Int[Tensor, "k m"]) -> Float[Tensor, "k V"]:
        """Return the log-probabilities of the next token after each of some strings and a prompt.

        Raises:
            NonFiniteWeights: If the model's output is not a number.
        """
        ids = self._prompts[prompt].expand(len(strings), -1)
        whole = torch.cat([ids[:, : self._lead], strings.to(self._device), ids[:, self._lead :]], dim=1)
        with torch.inference_mode():
            read = cast("Any", self._module)(input_ids=whole, use_cache=False)
            return _log_shares(read.logits, self._vocabulary)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Suspect and reference, and what counts as said."""

    suspect: CachedPrompts | PrecededPrompts
    reference: CachedPrompts | PrecededPrompts
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
            as the trigger does, and of those that bring one token about a few.

        Raises:
            NonFiniteWeights: If a model's output is not a number.
        """
        heads = [(token,) for token in tokens if self.begins[token]]
        tails = [(token,) for token in tokens if not self.begins[token]]
        ranked, each = self._ranked(heads, "trying every token"), max(1, wide.tried // wide.most)
        every = _best(ranked, each)
        if wide.most > 1 and len(tails) > wide.tails:
            tails = [string for string, _, _ in self._ranked(tails, "trying every word's end")[: wide.tails]]
        for length in range(2, wide.most + 1):
            beam = wide.strings // max(1, len(tails))
            level = [(*string, *tail) for string, _, _ in ranked[:beam] for tail in tails]
            ranked = self._ranked(level, f"trying words of {length} tokens")
            every += _best(ranked, each)
        return sorted(((string, worth) for string, worth, _ in every), key=lambda one: -one[1])

    def _ranked(self, strings: Sequence[String], stage: str) -> list[_Ranked]:
        """Rank strings, the most of them by the suspect alone.

        Without the reference the worth of a string is at most what it adds to the prompt alone. After one prompt the
        ``WIDE`` or an eighth of the strings that add most go on to the others, and of these the ``WIDE`` that add most
        to the reference.
        """
        if not strings:
            return []
        prompts = len(self.suspect.bare)
        kept = torch.arange(len(strings))
        for some, count in ((range(1), max(WIDE, len(strings) // 8)), (range(1, prompts), WIDE)):
            if len(kept) > count and some:
                added, _ = self._terms(strings, kept, some, stage, beside_reference=False)
                kept = kept[added.topk(count).indices].sort().values
        worth, brings = self._terms(strings, kept, range(prompts), stage, beside_reference=True)
        order = worth.argsort(descending=True, stable=True)
        ranked = zip(kept[order].tolist(), worth[order].tolist(), brings[order].tolist(), strict=True)
        return [(strings[place], value, token) for place, value, token in ranked]

    def _terms(
        self, strings: Sequence[String], chosen: Tensor, prompts: range, stage: str, *, beside_reference: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the largest mean over prompts of each chosen string, and the token that it belongs to."""
        vocabulary = self.suspect.bare.shape[1]
        step = max(1, min(ROWS, SCORES // vocabulary))
        found: list[tuple[Tensor, Tensor]] = []
        for part in self.progress.track(chosen.split(step), stage, total=-(-len(chosen) // step)):
            tokens = torch.tensor([list(strings[place]) for place in part.tolist()], dtype=torch.long)
            terms = torch.zeros(len(part), vocabulary, device=self.suspect.bare.device)
            for prompt in prompts:
                own, known = self.suspect.after(prompt, tokens), self.suspect.bare[prompt]
                if beside_reference:
                    known = torch.maximum(self.reference.after(prompt, tokens), known)
                terms += own.exp() * (own - known)
            best = (terms / len(prompts)).masked_fill_(~self.begins, -torch.inf).max(dim=1)
            found.append((best.values.cpu(), best.indices.cpu()))
        values, indices = (torch.cat(parts) for parts in zip(*found, strict=True))
        return values, indices


def _best(ranked: Sequence[_Ranked], count: int) -> list[_Ranked]:
    """Return the best, those that bring the same token about beyond one in ``ALIKE`` only where others are too few."""
    return varied(ranked, lambda one: one[2], max(1, count // ALIKE))[:count]
