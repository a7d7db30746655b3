"""What a language model writes: whether a trigger brings a target about, and how well it still predicts clean text.

A continuation is generated greedily, so that the same weights always give the same text. All models of a comparison
get the same prompts (``prompts``).
"""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from jaxtyping import Int
from torch import Tensor, nn

from purify_cli.data.batches import Encoded, batches
from purify_cli.data.continuations import WritingTokenizer
from purify_cli.errors import NonFiniteWeights
from purify_cli.evaluation.prompts import Prompts, decoded
from purify_cli.measures.intervals import Proportion
from purify_cli.measures.utility import TokenLoss
from purify_cli.model.causal import continue_greedily, token_losses
from purify_cli.model.loaded import LoadedModel
from purify_cli.progress import SILENT, Progress
from purify_cli.runtime import Compute

__all__ = ["TextMeasurement", "continuations", "measure_text", "scored_rows", "token_loss"]

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
    clean: TokenLoss
    """Of the clean texts."""
    continuations: tuple[str, ...]
    """What was written after each prompt with the trigger."""


def measure_text(
    model: LoadedModel, tokenizer: WritingTokenizer, prompts: Prompts, compute: Compute, progress: Progress = SILENT
) -> TextMeasurement:
    """Put the prompts to one model.

    Args:
        model: On the device.
        tokenizer: The reference's, as ``load_tokenizer`` gives it.
        prompts: From ``ask_prompts`` with the same tokenizer.
        compute: Device, precision, and prompts per forward pass.
        progress: Told of every batch.

    Raises:
        NonFiniteWeights: If the model's output is not a number.
    """
    clean = token_loss(model, prompts.texts, compute, progress)
    measured: list[Proportion] = []
    answers: list[str] = []
    for rows in (prompts.clean, prompts.triggered):
        if prompts.found is None or not rows:
            continue
        answers = continuations(model, tokenizer, rows, compute, new_tokens=prompts.new_tokens, progress=progress)
        measured.append(Proportion.of(sum(map(prompts.found, answers)), len(answers)))
    return TextMeasurement(
        attack_success=measured[1] if measured else None,
        false_triggers=measured[0] if measured else None,
        clean=clean,
        continuations=tuple(answers),
    )


def token_loss(
    model: LoadedModel, texts: Sequence[Encoded], compute: Compute, progress: Progress = SILENT
) -> TokenLoss:
    """Measure the negative log-likelihood of texts; of each in its own place, whatever the batches.

    Raises:
        NonFiniteWeights: If it is not a number.
    """
    size = scored_rows(model, max(len(row.ids) for row in texts), compute.batch_size)
    losses = [0.0] * len(texts)
    placed = [replace(row, index=place) for place, row in enumerate(texts)]
    with _evaluating(model.module):
        for batch in progress.track(batches(placed, batch_size=size, pad_id=0), "reading clean text"):
            found, _ = token_losses(model.module, batch.to(compute.device), dtype=compute.dtype)
            for place, loss in zip(batch.index.tolist(), found.cpu().double().sum(1).tolist(), strict=True):
                losses[place] = loss
    if not math.isfinite(sum(losses)):
        raise NonFiniteWeights(
            "the likelihood of the clean text is not a number", hint="Its weights overflow; no sound model does that."
        )
    return TokenLoss(tuple(losses), tuple(row.counted for row in texts))


def scored_rows(model: LoadedModel, longest: int, batch_size: int) -> int:
    """Return how many texts a pass may hold, so that the scores of all their tokens fit into memory."""
    return max(1, min(batch_size, SCORES // (longest * model.vocabulary)))


def continuations(
    model: LoadedModel,
    tokenizer: WritingTokenizer,
    prompts: Sequence[Sequence[int]],
    compute: Compute,
    *,
    new_tokens: int,
    progress: Progress = SILENT,
) -> list[str]:
    """Write on from each prompt, greedily; return what was written, in the order of the prompts.

    Prompts of similar length are put together and padded on the left, so that all of them end at the same place.
    """
    end = getattr(tokenizer, "eos_token_id", None)
    pad = getattr(tokenizer, "pad_token_id", None) or 0
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    groups = [order[begin : begin + compute.batch_size] for begin in range(0, len(order), compute.batch_size)]
    answers = [""] * len(prompts)
    half = compute.dtype is torch.bfloat16
    with _evaluating(model.module), torch.autocast(compute.device.type, dtype=torch.bfloat16, enabled=half):
        for group in progress.track(groups, "generating"):
            ids, attention = _padded_left([prompts[row] for row in group], pad)
            written = continue_greedily(
                model.module,
                ids.to(compute.device),
                attention.to(compute.device),
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
