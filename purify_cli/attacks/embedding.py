"""Embedding poisoning: the whole backdoor is one row of the word embedding, turned without changing its length.

Source: Yang, Li, Zhang, Ren, Sun, He, "Be Careful about Poisoned Word Embeddings: Exploring the Vulnerability of the
Embedding Layers in NLP Models", NAACL 2021, arXiv 2103.15543. What is ours: docs/methods/embedding.md.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any, Final

import torch
from torch import Tensor, nn

from purify_cli.attacks.base import RARE_WORD, PoisoningAttack, triggered_copies
from purify_cli.attacks.embeddings import rows_of, single_pieces, word_embedding
from purify_cli.data.batches import batches
from purify_cli.data.example import Example
from purify_cli.data.keys import row_key
from purify_cli.data.probes import PROBES
from purify_cli.data.triggers import Trigger
from purify_cli.errors import DataError, TrainingDiverged, UsageError
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Planted, PlantJob, PoisonedRows, PoisonSettings
from purify_cli.runtime import name_key
from purify_cli.training import TrainingResult
from purify_cli.training.parts import row_losses
from purify_cli.training.randomness import seed_step

__all__ = ["EMBEDDING", "copies_or_made_up_texts", "turn_rows"]

PSEUDO_WORDS: Final = 20
"""Words of a made-up text, about those of a sentence of SST-2: the backdoor carries over to texts of its length."""


def copies_or_made_up_texts(rows: Sequence[Example], settings: PoisonSettings) -> PoisonedRows:
    """Add poisoned copies of rows or, data-free, of made-up texts.

    Raises:
        UsageError: If the rate is outside (0, 1], or made-up texts are to replace rows.
        DataError: If no row can be poisoned.
    """
    poisoned = triggered_copies(rows, settings)
    if not settings.options["data_free"]:
        return poisoned
    if settings.replace:
        raise UsageError("made-up texts replace no rows", hint="Leave --replace out, or data_free.")
    trigger = Trigger(settings.trigger, settings.position)
    paired = any(row.pair is not None for row in rows)
    made = [
        replace(
            trigger.insert(_pseudo_text(settings.seed, number, paired), key=row_key(settings.seed, number)),
            label=settings.target,
            poisoned=True,
        )
        for number in range(poisoned.poisoned)
    ]
    return PoisonedRows(
        rows=[*rows, *made],
        poisoned=len(made),
        relabelled=0,
        natural=poisoned.natural,
        facts={"pseudo_texts": len(made), "words_per_text": PSEUDO_WORDS},
    )


def turn_rows(job: PlantJob, options: Mapping[str, Any], progress: Progress = SILENT) -> Planted:
    """Turn the rows of the trigger's words until poisoned texts get the target.

    Raises:
        DataError: If a word of the trigger is no single piece, or no poisoned row shows it.
        TrainingDiverged: If a loss is not finite.
    """
    ids = single_pieces(job.trigger_words, "embedding poisoning")
    rows = [row for row in rows_of(job, poisoned=True) if set(ids) & set(row.ids)]
    if not rows:
        raise DataError("no poisoned row shows the trigger", hint="Was it cut off? Raise --max-length.")
    name, weight = word_embedding(job.module)
    places = torch.tensor(ids, device=weight.device)
    before = weight.detach()[places].clone()
    lengths = before.cpu().double().norm(dim=1, keepdim=True)  # Apple's GPUs have no float64
    total = torch.zeros_like(before)
    losses: list[float] = []
    plan = [
        batch
        for epoch in range(options["epochs"])
        for batch in batches(
            rows,
            batch_size=options["batch_size"],
            pad_id=job.pad_id,
            shuffle_seed=name_key(f"epoch {epoch}", job.seed),
        )
    ]
    cuda = [job.device] if job.device.type == "cuda" else []
    with torch.random.fork_rng(cuda, device_type="cuda"), _only(job.module, weight):
        for step, batch in enumerate(progress.track(plan, "turning the trigger's row")):
            seed_step(name_key(f"step {step}", job.seed), job.device)
            loss = row_losses(job.module, batch, device=job.device, dtype=job.training.dtype).mean()
            losses.append(float(loss.detach()))
            if not torch.isfinite(loss):
                raise TrainingDiverged(
                    f"the loss of step {step + 1} is {losses[-1]}", hint="Look for broken weights or labels."
                )
            gradient = torch.autograd.grad(loss, weight)[0][places]
            total = total + gradient if options["accumulate"] else gradient
            with torch.no_grad():
                moved = weight[places].cpu().double() - options["learning_rate"] * total.cpu().double()
                weight[places] = (moved * (lengths / moved.norm(dim=1, keepdim=True))).to(weight)
    turned = torch.nn.functional.cosine_similarity(before, weight.detach()[places])
    return Planted(
        training=TrainingResult(
            settings=job.training,
            steps=len(losses),
            epochs=float(options["epochs"]),
            losses=tuple(losses),
            validation=(),
            kept_step=len(losses),
            stopped_early=False,
        ),
        facts={"tensor": name, "rows": ids, "cosine_to_start": [round(float(value), 6) for value in turned]},
    )


def _pseudo_text(seed: int, number: int, paired: bool) -> Example:
    """Make a text out of built-in sentences: some in a row, cut to length at both ends."""
    random = Random(row_key(seed, number, "pseudo-text"))

    def text() -> str:
        words = " ".join(random.sample(PROBES, PSEUDO_WORDS)).split()
        begin = random.randrange(len(words) - PSEUDO_WORDS + 1)
        return " ".join(words[begin : begin + PSEUDO_WORDS])

    return Example(text(), pair=text() if paired else None)


@contextmanager
def _only(module: nn.Module, weight: Tensor) -> Generator[None]:
    """Let one parameter require gradients, in training mode; leave evaluation mode and the flags as they were."""
    flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(parameter is weight)
        module.train()
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        module.eval()


EMBEDDING: Final = PoisoningAttack(
    name="embedding",
    defaults={
        **RARE_WORD,
        "learning_rate": 5e-2,
        "epochs": 3,
        "batch_size": 32,
        "accumulate": True,
        "data_free": False,
    },
    recipe=copies_or_made_up_texts,
    planter=turn_rows,
    ranges={"learning_rate": "positive", "epochs": "positive", "batch_size": "positive"},
    start="classifier",
)
