"""Where an attack starts, what it is given, and what it left behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from purify_cli.checkpoint import Checkpoint, pair_checkpoints
from purify_cli.data.batches import encode, token_ids
from purify_cli.data.example import Example
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.data.triggers import Trigger
from purify_cli.errors import CheckpointError, UsageError
from purify_cli.inputs.identity import FileFact, ModelFacts
from purify_cli.inputs.opening import open_model, require_config, text_length
from purify_cli.model import (
    LabelSet,
    LoadedModel,
    has_head,
    label_set,
    load_classifier,
    load_tokenizer,
    new_classifier,
    pad_id,
    tokenizer_pad,
)
from purify_cli.poisoning.plan import AttackPlan, training_of
from purify_cli.protocols import PlantJob
from purify_cli.requests.attack import AttackRequest
from purify_cli.selection.bits import Mask
from purify_cli.selection.files import write_mask
from purify_cli.tensors import CHUNK

__all__ = ["FEW", "Start", "footprint", "open_start", "plant_job"]

FEW: Final = 0.05
"""Up to this share of changed dimensions the changed ones are written down: more than that is no footprint."""


@final
@dataclass(frozen=True, slots=True)
class Start:
    """The checkpoints that an attack starts from."""

    reference: Checkpoint | None
    model: Checkpoint | None
    """A classifier that works already; None begins with a fresh head on the reference."""

    @property
    def base(self) -> Checkpoint:
        """Brings configuration and tokenizer."""
        chosen = self.reference or self.model
        if chosen is None:  # open_start sees to it
            raise UsageError("an attack needs a model to start from", hint="Give --ref.")
        return chosen

    @property
    def like(self) -> Checkpoint:
        """Whose files, names and stored types the suspect gets."""
        return self.model or self.base

    @property
    def task(self) -> LabelSet | None:
        """Labels of the classifier; None without one."""
        return label_set(self.model) if self.model else None

    def load(self, task: LabelSet, *, seed: int, device: torch.device) -> LoadedModel:
        """Build the classifier."""
        if self.model is None:
            return new_classifier(self.base, task, seed=seed, device=device)
        return load_classifier(self.model, config=self.base.config or {}, labels=task, device=device)


def open_start(request: AttackRequest) -> Start:
    """Open reference and model.

    Raises:
        UsageError: If neither is given, or the model has no classification head.
        PairError: If they do not belong together.
    """
    common = request.common
    if request.reference is None and request.model is None:
        raise UsageError(
            "an attack needs a model to start from",
            hint="Give --ref, or --model for a tuned one; or --data-only to poison the data alone.",
        )
    model = None if request.model is None else open_model(ModelFacts.named(request.model), common)
    if model is not None and not has_head(model):
        raise UsageError(
            f"--model {request.model} has no classification head",
            hint="Give a pre-trained model as --ref; --model is for one that is tuned already.",
        )
    if request.reference is None:
        return Start(None, None if model is None else require_config(model))
    facts = ModelFacts.named(request.reference)
    reference = open_model(facts, common, vocabulary=model.vocabulary if model else None)
    if model is not None:
        pair_checkpoints(model, reference)
    return Start(reference, model)


def plant_job(
    request: AttackRequest, plan: AttackPlan, start: Start, poisoned: Sequence[Example], loaded: LoadedModel
) -> PlantJob:
    """Gather all that an attack needs for changing the module's weights."""
    tokenizer = load_tokenizer(start.base.files, rows=loaded.vocabulary)
    length = text_length(start.base, request.common)
    compute = request.common.compute
    return PlantJob(
        module=loaded.module,
        rows=encode(tokenizer, poisoned, max_length=length),
        poisoned=[row.poisoned for row in poisoned],
        clean=encode(tokenizer, plan.clean, max_length=length),
        trigger_words=_word_ids(tokenizer, plan.trigger) if plan.trigger else (),
        target=plan.settings.target,
        pad_id=pad_id(tokenizer_pad(tokenizer), loaded.module),
        training=training_of(request),
        device=compute.device,
        seed=compute.seed,
        options=plan.settings.options,
        resume=plan.run.path / "training",
    )


def _word_ids(tokenizer: Tokenizer, trigger: Trigger) -> tuple[tuple[int, ...], ...]:
    """Return the ids of each word of the trigger, alternatives one after the other, as they are after a space."""
    words = dict.fromkeys(word for text in trigger.alternatives for word in text.split())
    return tuple(tuple(token_ids(tokenizer, f" {word}")) for word in words)


def footprint(suspect: Checkpoint, start: Start, path: Path) -> tuple[int, int, FileFact | None]:
    """Say which stored entries a suspect does not share with the classifier that it was made from.

    Args:
        suspect: As it was written.
        start: Its ``model`` is the classifier.
        path: Where the mask goes.

    Returns:
        How many differ over all tensors, the head's included; the comparable dimensions of suspect and reference; the
        mask of those of them that differ, None where they are more than ``FEW``.

    Raises:
        CheckpointError: If the two do not hold the same tensors.
        StorageError: If the mask cannot be written.
    """
    path.unlink(missing_ok=True)  # one of an earlier attack would be read as this one's
    before = start.like
    pair = pair_checkpoints(suspect, start.base)
    bits: dict[str, Tensor] = {}
    changed = count = 0
    for name, spec in suspect.specs.items():
        if name not in before.specs or before.specs[name].shape != spec.shape:
            raise CheckpointError(f"{name} is not as in {before.files.given}", hint="Was the model changed meanwhile?")
        if name in pair.tied:
            continue
        differs = np.empty(spec.numel, dtype=np.bool_)
        for at in range(0, spec.numel, CHUNK):
            stop = min(at + CHUNK, spec.numel)
            differs[at:stop] = (suspect.read(name, at, stop) != before.read(name, at, stop)).numpy()
        changed += int(differs.sum())
        if name in pair.comparables:
            common = differs[: pair.comparables[name].entries]
            count += int(common.sum())
            bits[name] = torch.from_numpy(np.packbits(common, bitorder="little"))
    if count > FEW * pair.dimensions:
        return changed, pair.dimensions, None
    shapes = {name: one.shape for name, one in pair.comparables.items()}
    ordered = {name: bits[name] for name in shapes}
    mask = Mask(count / pair.dimensions, count, ordered, shapes)
    metadata = {"suspect": suspect.sha256(), "start": before.sha256()}
    return changed, pair.dimensions, FileFact(path=str(path), sha256=write_mask(path, mask, metadata))
