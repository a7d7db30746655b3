"""Where an attack starts, what it is given, and what it left behind."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from purify_cli.checkpoint import Checkpoint, canonical, pair_checkpoints, staged_folder
from purify_cli.checkpoint.unique import unique_names
from purify_cli.data.batches import encode, token_ids
from purify_cli.data.example import Example
from purify_cli.data.tokenizer import Tokenizer
from purify_cli.data.triggers import Trigger
from purify_cli.errors import CheckpointError, UsageError
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
from purify_cli.records.base import FileFact, ModelFacts
from purify_cli.requests.attack import AttackRequest
from purify_cli.selection.bits import Mask
from purify_cli.selection.files import write_mask
from purify_cli.session.opening import open_model, require_config, some_texts, text_length
from purify_cli.session.saving import overlaid, save_model
from purify_cli.session.task import classification_task
from purify_cli.session.tuning import tune
from purify_cli.tensors import CHUNK, read_tensor

__all__ = ["FEW", "Footprint", "Start", "footprint", "open_start", "plant_job", "trained_start"]

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

    @contextmanager
    def saved(self, folder: Path, loaded: LoadedModel) -> Generator[tuple[Path, ModelFacts], None, None]:
        """Write the classifier as it is now; at the end of the block it gets its place, replacing an older one.

        Yields:
            Where it lies until then, and what the records say of it.
        """
        weights = overlaid(self.model, loaded) if self.model else None
        keep = [Path(self.model.files.given)] if self.model else []
        with staged_folder(folder, overwrite=True, keep=keep) as staged:
            sha = save_model(staged, loaded, like=self.like, base=self.base, weights=weights)
            yield staged, ModelFacts(path=str(folder), sha256=sha)


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


def trained_start(request: AttackRequest, plan: AttackPlan, start: Start) -> Start:
    """Train the clean classifier that the attack changes, where none was given, into ``clean`` of the run folder."""
    compute, progress, folder = request.common.compute, request.progress, plan.run.path / "clean"
    progress.note(f"{request.name} changes a working classifier: training a clean one on {len(plan.clean)} rows first")
    loaded = start.load(plan.task, seed=compute.seed, device=compute.device)
    tokenizer = load_tokenizer(start.base.files, rows=loaded.vocabulary, texts=some_texts(plan.clean))
    task = classification_task(start.base, tokenizer, request.common, plan.task)
    resume = plan.run.path / "clean-training"
    tune(task, loaded, plan.clean, training_of(request), resume=resume, progress=progress)
    with start.saved(folder, loaded) as (_, facts):
        pass
    return replace(start, model=open_model(facts, request.common))


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
        reference=_ReferenceValues(loaded, start.base, compute.device),
        device=compute.device,
        seed=compute.seed,
        options=plan.settings.options,
        resume=plan.run.path / "training",
    )


def _word_ids(tokenizer: Tokenizer, trigger: Trigger) -> tuple[tuple[int, ...], ...]:
    """Return the ids of each word of the trigger, alternatives one after the other, as they are after a space."""
    words = dict.fromkeys(word for text in trigger.alternatives for word in text.split())
    return tuple(tuple(token_ids(tokenizer, f" {word}")) for word in words)


@final
class _ReferenceValues(Mapping[str, Tensor]):
    """Parameter name → the reference's values, read when they are asked for: most attacks never do."""

    def __init__(self, loaded: LoadedModel, reference: Checkpoint, device: torch.device) -> None:
        own = unique_names(reference).chosen
        self._names = {
            name: own[canonical(name)]
            for name, parameter in loaded.module.named_parameters()
            if canonical(name) in own and reference.specs[own[canonical(name)]].shape == tuple(parameter.shape)
        }
        self._reference, self._device = reference, device

    def __getitem__(self, name: str) -> Tensor:
        return read_tensor(self._reference, self._names[name]).float().to(self._device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@final
@dataclass(frozen=True, slots=True)
class Footprint:
    """Which stored entries a suspect does not share with its start."""

    changed: int
    """Over all tensors, the head's included."""
    dimensions: int
    """Comparable dimensions of suspect and reference."""
    planted: FileFact | None
    """Mask of the changed ones among them; None where they are more than ``FEW``."""


def footprint(suspect: Checkpoint, start: Start, path: Path) -> Footprint:
    """Compare a suspect with the classifier that it was made from.

    Args:
        suspect: As it was written.
        start: Its ``model`` is the classifier.
        path: Where the mask goes.

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
        return Footprint(changed, pair.dimensions, None)
    shapes = {name: one.shape for name, one in pair.comparables.items()}
    ordered = {name: bits[name] for name in shapes}
    mask = Mask(count / pair.dimensions, count, ordered, shapes)
    metadata = {"suspect": suspect.sha256(), "start": before.sha256()}
    return Footprint(changed, pair.dimensions, FileFact(path=str(path), sha256=write_mask(path, mask, metadata)))
