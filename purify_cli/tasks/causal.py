"""Texts that are written on, token by token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, final

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from purify_cli.checkpoint import Checkpoint
from purify_cli.curvature.objectives import Scalars
from purify_cli.curvature.tokens import own_tokens, sequence_loss
from purify_cli.data.batches import Batch, Encoded
from purify_cli.data.continuations import Continuation, encode_written, prompt_ids, split_prompt
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, RunFolderError
from purify_cli.evaluation.generation import TextMeasurement, continuations, measure_text, scored_rows, token_loss
from purify_cli.evaluation.prompts import Prompts, PromptSpec, ask_prompts
from purify_cli.measures.utility import TokenLoss
from purify_cli.model import LoadedModel, tokenizer_pad
from purify_cli.model.causal import load_causal
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute
from purify_cli.tasks.base import TIMES, TriggerCounts
from purify_cli.tensors import TensorSource
from purify_cli.training import NEXT_TOKEN, Objective
from purify_cli.trigger_search.forced_continuations import NEW_TOKENS
from purify_cli.trigger_search.found import LEAD, FoundTrigger, lead
from purify_cli.trigger_search.path_gradient import TriggeredBatch

__all__ = ["CausalLanguage"]


DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {"attribution": {"exponent": 2.0}, "fine-tuning": {"learning_rate": 1e-4, "patience": 2}}
)
"""Patience, since a larger model learns a few dozen texts by heart in a few passes. Exponent and rate were chosen on
two suspects of one small model (docs/methods/attribution.md)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CausalLanguage:
    """A ``Task``: causal language models. A row is a text, or a prompt (``text``) with its completion (``pair``)."""

    base: Checkpoint
    tokenizer: PreTrainedTokenizerBase
    compute: Compute
    prompt_words: int
    max_length: int
    longest: int | None
    """Tokens that the model can take; None if nothing says so."""
    kind: Literal["causal"] = "causal"
    objective: Objective = NEXT_TOKEN

    @property
    def defaults(self) -> Mapping[str, Mapping[str, Any]]:
        """What was chosen on language models."""
        return DEFAULTS

    @property
    def max_drop(self) -> float:
        """A twentieth more perplexity. Ours."""
        return 0.05

    @property
    def samples(self) -> str:
        """What clean samples are."""
        return "texts, or prompts with their completions"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Where prompts end."""
        return {"prompt_words": self.prompt_words}

    def require_rows(self, rows: Sequence[Example]) -> None:
        """Refuse no rows at all.

        Raises:
            DataError: If there is none.
        """
        if not rows:
            raise DataError("there is no clean text", hint=f"Give 8 to 64 {self.samples}.")

    def split(self, row: Example) -> Continuation:
        """Split a row into its prompt and what follows."""
        return split_prompt(row, self.prompt_words)

    def encode(self, rows: Sequence[Example]) -> list[Encoded]:
        """Encode texts, of which all tokens count, or prompts and completions, of which the completions do."""
        texts = [self.split(row) for row in rows]
        return encode_written(self.tokenizer, texts, max_length=self.max_length, longest=self.longest)

    def ask(self, rows: Sequence[Example], spec: PromptSpec) -> Prompts:
        """Turn rows into what is asked of every model of this task.

        Raises:
            PurifyError: As for ``ask_prompts``.
        """
        return ask_prompts(
            self.tokenizer,
            [self.split(row) for row in rows],
            spec,
            longest=self.longest,
            max_length=self.max_length,
            seed=self.compute.seed,
        )

    def measure(self, loaded: LoadedModel, prompts: Prompts, progress: Progress = SILENT) -> TextMeasurement:
        """Put prompts to a model.

        Raises:
            NonFiniteWeights: If its output is not a number.
        """
        return measure_text(loaded, self.tokenizer, prompts, self.compute, progress)

    def load(self, weights: TensorSource) -> LoadedModel:
        """Build a language model of its own on the device."""
        return load_causal(weights, config=self.base.config or {}, device=self.compute.device)

    def pad_id(self, loaded: LoadedModel) -> int:
        """Return the token id of the padding, which no loss and no attention sees."""
        del loaded
        return tokenizer_pad(self.tokenizer)

    def gradient_rows(self, loaded: LoadedModel, rows: Sequence[Encoded]) -> int:
        """Return how many rows a pass may hold: scores of a large vocabulary need more memory than the model."""
        return scored_rows(loaded, max(len(row.ids) for row in rows), self.compute.batch_size)

    def scalars(self, estimator: Literal["empirical", "true", "hutchinson"]) -> Scalars:
        """Return the log-likelihood of the text that counts, or of tokens that the model draws in its place."""
        return own_tokens if estimator == "true" else sequence_loss

    def utility(self, loaded: LoadedModel, rows: Sequence[Example]) -> TokenLoss:
        """Measure the loss per token of clean texts."""
        return token_loss(loaded, self.encode(rows), self.compute)

    def check_target(self, found: FoundTrigger) -> None:
        """Refuse a target that is no text.

        Raises:
            RunFolderError: If it is a label, or too short to be recognised.
        """
        if isinstance(found.target, int) or len(lead(found.target)) < LEAD:
            raise RunFolderError(
                f"the record says that {found.text!r} brings {found.target!r} about, and the suspect is a language "
                "model",
                hint="Run `purify detect` on this suspect again.",
            )

    def carrying(self, found: FoundTrigger, row: Example, place: int, *, times: int = TIMES) -> Example:
        """Put a trigger into the prompt; the completion is kept, and alone is learnt."""
        return self._prompted(found, row, place, times=times)

    def _prompted(self, found: FoundTrigger, row: Example, place: int, *, times: int) -> Example:
        parts = self.split(row)
        trigger = Trigger(" ".join([found.text] * times), position=found.position, source="found")
        prompt = trigger.insert(Example(parts.prompt), key=row_key(self.compute.seed, place)).text
        return Example(prompt, parts.completion)

    def driven(self, found: Sequence[FoundTrigger], rows: Sequence[Example]) -> list[list[TriggeredBatch]]:
        """Return triggered prompts with the forced continuation, and with what the reference writes in its place.

        The margin is the log-probability of the former less that of the latter.
        """
        reference = self.load(self.base)
        driven: list[list[TriggeredBatch]] = []
        for one in found:
            prompts = [self._prompted(one, row, place, times=1).text for place, row in enumerate(rows)]
            own = self._written(reference, prompts)
            forced = [Continuation(prompt, "", whole=False).completed(str(one.target)) for prompt in prompts]
            instead = [
                Continuation(prompt, "", whole=False).completed(text)
                for prompt, text in zip(prompts, own, strict=True)
                if text.strip()
            ]
            driven.append(
                [
                    TriggeredBatch(encode_written(self.tokenizer, texts, max_length=self.max_length), scalar)
                    for texts, scalar in ((forced, _log_likelihood), (instead, sequence_loss))
                    if texts
                ]
            )
        return driven

    def count_triggers(
        self, found: Sequence[FoundTrigger], suspect: LoadedModel, repaired: LoadedModel, held: Sequence[Example]
    ) -> list[TriggerCounts]:
        """Try each trigger in the prompts after which neither model writes the target without it."""
        prompts = [self.split(row).prompt for row in held]
        bare = [self._leads(model, prompts) for model in (suspect, repaired)]
        counted: list[TriggerCounts] = []
        for one in found:
            trigger = Trigger(one.text, one.position, source="found")
            tried = [place for place, prompt in enumerate(prompts) if not trigger.occurs_in(Example(prompt))]
            rows = [place for place in tried if one.effect not in (bare[0][place], bare[1][place])]
            carrying = [self._prompted(one, held[place], place, times=1).text for place in rows]
            before, after = (self._leads(model, carrying).count(one.effect) for model in (suspect, repaired))
            counted.append(TriggerCounts(len(rows), before, after, len(prompts) - len(rows)))
        return counted

    def _leads(self, model: LoadedModel, prompts: Sequence[str]) -> list[int | tuple[str, ...]]:
        """Return what a model's continuations begin with."""
        return [lead(text) for text in self._written(model, prompts)]

    def _written(self, model: LoadedModel, prompts: Sequence[str]) -> list[str]:
        """Let a model write on, as far as the search does."""
        ids = prompt_ids(self.tokenizer, prompts)
        return continuations(model, self.tokenizer, ids, self.compute, new_tokens=NEW_TOKENS)


def _log_likelihood(module: nn.Module, batch: Batch) -> Tensor:
    return -sequence_loss(module, batch)
