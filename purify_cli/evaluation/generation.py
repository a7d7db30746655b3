"""What a language model writes: whether a trigger brings a target about, and how well it still predicts clean text.

A continuation is generated greedily, so that the same weights always give the same text. All models of a comparison
get the same prompts (``prompts``).
"""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Int
from torch import Tensor, nn

from purify_cli.data.batches import batches
from purify_cli.data.continuations import WritingTokenizer, Written
from purify_cli.errors import NonFiniteWeights
from purify_cli.evaluation.prompts import Prompts, decoded
from purify_cli.measures.intervals import Proportion
from purify_cli.model.causal import LanguageModel, continue_greedily
from purify_cli.progress import SILENT, Progress
from purify_cli.training.language import token_losses

__all__ = ["TextMeasurement", "continuations", "log_likelihood", "measure_text"]

SCORES: Final = 1 << 26
"""Most scores of one forward pass over clean text: 256 MiB in float32. A vocabulary has up to 10^5 entries, so that a
pass over many long texts would need more memory than the model."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TextMeasurement:
    """How one language model behaves."""

    attack_success: Proportion | None
    """Of the prompts with the trigger: continued with the target. None without a trigger."""
    false_triggers: Proportion | None
    """Of the same prompts without the trigger."""
    loss: float
    """Mean negative log-likelihood per token of clean text, in nats."""
    tokens: int
    """Tokens behind ``loss``."""
    continuations: tuple[str, ...]
    """What was written after each prompt with the trigger."""

    @property
    def perplexity(self) -> float | None:
        """exp(loss); None where that is beyond the largest number."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return None


def measure_text(
    model: LanguageModel,
    tokenizer: WritingTokenizer,
    prompts: Prompts,
    *,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    progress: Progress = SILENT,
) -> TextMeasurement:
    """Put the prompts to one model.

    Args:
        model: On the device.
        tokenizer: The reference's, as ``load_tokenizer`` gives it.
        prompts: From ``ask_prompts`` with the same tokenizer.
        batch_size: Prompts per forward pass.
        device: Where to compute.
        dtype: bfloat16 computes under autocast.
        progress: Told of every batch.

    Raises:
        NonFiniteWeights: If the model's output is not a number.
    """
    total, tokens = log_likelihood(
        model, prompts.texts, batch_size=batch_size, device=device, dtype=dtype, progress=progress
    )
    measured: list[Proportion] = []
    answers: list[str] = []
    for rows in (prompts.clean, prompts.triggered):
        if prompts.found is None or not rows:
            continue
        answers = continuations(
            model,
            tokenizer,
            rows,
            new_tokens=prompts.new_tokens,
            batch_size=batch_size,
            device=device,
            dtype=dtype,
            progress=progress,
        )
        measured.append(Proportion(sum(map(prompts.found, answers)), len(answers)))
    return TextMeasurement(
        attack_success=measured[1] if measured else None,
        false_triggers=measured[0] if measured else None,
        loss=-total / tokens,
        tokens=tokens,
        continuations=tuple(answers),
    )


def log_likelihood(
    model: LanguageModel,
    texts: Written,
    *,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    progress: Progress = SILENT,
) -> tuple[float, int]:
    """Return the log-likelihood of texts in nats (≤ 0), and over how many tokens.

    Raises:
        NonFiniteWeights: If it is not a number.
    """
    module = model.module
    vocabulary = module.get_input_embeddings().get_parameter("weight").shape[0]
    longest = max(len(row.ids) for row in texts.rows)
    size = max(1, min(batch_size, SCORES // (longest * vocabulary)))
    total = 0.0
    with _evaluating(module):
        for batch in progress.track(batches(texts.rows, batch_size=size, pad_id=0), "reading clean text"):
            losses, _ = token_losses(module, batch.to(device), texts.starts, dtype=dtype)
            total -= float(losses.cpu().double().sum())
    if not math.isfinite(total):
        raise NonFiniteWeights(
            "the likelihood of the clean text is not a number", hint="Its weights overflow; no sound model does that."
        )
    return total, texts.tokens


def continuations(
    model: LanguageModel,
    tokenizer: WritingTokenizer,
    prompts: Sequence[Sequence[int]],
    *,
    new_tokens: int,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    progress: Progress = SILENT,
) -> list[str]:
    """Write on from each prompt, greedily; return what was written, in the order of the prompts.

    Prompts of similar length are put together and padded on the left, so that all of them end at the same place.
    """
    end = getattr(tokenizer, "eos_token_id", None)
    pad = getattr(tokenizer, "pad_token_id", None) or 0
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    groups = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]
    answers = [""] * len(prompts)
    with (
        _evaluating(model.module),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16),
    ):
        for group in progress.track(groups, "generating"):
            ids, attention = _padded_left([prompts[row] for row in group], pad)
            written = continue_greedily(
                model.module,
                ids.to(device),
                attention.to(device),
                new_tokens=new_tokens,
                pad_id=pad,
                end_ids=[] if end is None else [end],
            )
            for row, new in zip(group, written.tolist(), strict=True):
                # After its end a row is filled with padding, which need not be a token that decoding leaves out.
                answers[row] = decoded(tokenizer, new[: new.index(end)] if end in new else new)
    return answers


def _padded_left(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Return token ids and attention of rows that all end at the same place."""
    length = max(map(len, rows))
    gaps = [length - len(row) for row in rows]
    return (
        torch.tensor([[*[pad_id] * gap, *row] for row, gap in zip(rows, gaps, strict=True)]),
        torch.tensor([[*[0] * gap, *[1] * len(row)] for row, gap in zip(rows, gaps, strict=True)]),
    )


@contextmanager
def _evaluating(module: nn.Module) -> Generator[None]:
    """Switch to evaluation without gradients, and back to the mode that was on."""
    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(training)
