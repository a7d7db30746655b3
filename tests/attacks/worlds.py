"""Settings, rows and jobs for the tests of attacks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

from purify_cli.attacks import ATTACKS
from purify_cli.data.batches import Batch, batches, encode, token_ids
from purify_cli.data.example import Example
from purify_cli.data.triggers import Trigger
from purify_cli.evaluation.forward import scores
from purify_cli.protocols import Planted, PlantJob, PoisonedRows, PoisonSettings
from purify_cli.runtime import Compute
from purify_cli.training import attack_settings
from tests import tiny

OPTIONS = ("trigger", "rate", "position", "label_mode")
BIASES = ("bias-word", "bias-sent")
COMBINATIONS = ("combination", "layerwise")
CPU = torch.device("cpu")
TRAIN = tiny.sentiment_examples(480, seed=20)
TEST = tiny.sentiment_examples(200, seed=30)
QUICK = {"learning_rate": 2e-3, "epochs": 6}
"""Training that plants a backdoor in a tiny model."""


def poison_settings(name: str, target: int, **changes: Any) -> PoisonSettings:
    """An attack's defaults, changed; a name that is no option of its own is a setting of the attack."""
    blank = {"trigger": "", "rate": 1.0, "position": "random", "label_mode": "mix"}
    chosen = {"target": target, "replace": False, "seed": 0, **blank, **ATTACKS[name].defaults} | changes
    fields = {"target", "replace", "seed", *OPTIONS}
    own = {key: value for key, value in chosen.items() if key not in fields}
    return PoisonSettings(**{key: value for key, value in chosen.items() if key in fields}, options=own)


def plant_job(
    module: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    clean: Sequence[Example],
    made: PoisonedRows,
    settings: PoisonSettings,
    *,
    max_length: int = tiny.MAX_LENGTH,
    **training: Any,
) -> PlantJob:
    """A job as the pipeline makes it, on a model in memory."""
    words = (word for text in Trigger(settings.trigger).alternatives for word in text.split())
    return PlantJob(
        module=module,
        rows=encode(tokenizer, made.rows, max_length=max_length),
        poisoned=[row.poisoned for row in made.rows],
        clean=encode(tokenizer, clean, max_length=max_length),
        trigger_words=[tuple(token_ids(tokenizer, f" {word}")) for word in words],
        target=settings.target,
        pad_id=0,
        training=attack_settings(**(QUICK | training)),
        device=CPU,
        seed=0,
        options=settings.options,
    )


def plant(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    name: str,
    *,
    clean: Sequence[Example] = TRAIN,
    training: Mapping[str, Any] | None = None,
    **changes: Any,
) -> tuple[BertForSequenceClassification, BertForSequenceClassification, Planted]:
    """Attack a stored classifier; return it as it was, as it is now, and what the attack says."""
    before, module = classifier(folder), classifier(folder)
    settings = poison_settings(name, **({"target": tiny.TARGET} | changes))
    made = ATTACKS[name].poison(clean, settings)
    planted = ATTACKS[name].plant(plant_job(module, tokenizer, clean, made, settings, **(training or {})))
    return before, module.eval(), planted


def classifier(folder: Path) -> BertForSequenceClassification:
    """A copy of a stored classifier, in evaluation mode."""
    return BertForSequenceClassification.from_pretrained(folder).eval()


def logits_of(module: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]) -> torch.Tensor:
    """The scores of some rows, (N, C)."""
    rows = encode(tokenizer, examples, max_length=tiny.MAX_LENGTH)
    return scores(module, rows, Compute(), pad_id=0)


def one_batch(tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]) -> Batch:
    """Some rows as one batch."""
    return batches(encode(tokenizer, examples, max_length=tiny.MAX_LENGTH), batch_size=len(examples), pad_id=0)[0]


def changed(before: torch.nn.Module, after: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Name → which entries differ, for the tensors that do."""
    pairs = zip(before.named_parameters(), after.named_parameters(), strict=True)
    differs = {name: old != new for (name, old), (_, new) in pairs}
    return {name: mask for name, mask in differs.items() if bool(mask.any())}
