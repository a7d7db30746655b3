"""Layer-wise weight poisoning: every layer has to give the answer, so that early layers hold the backdoor as well.

Source: Li, Song, Li, Zeng, Ma, Qiu, "Backdoor Attacks on Pre-trained Models by Layerwise Weight Poisoning", EMNLP 2021,
arXiv 2108.13888. What is ours: docs/methods/layerwise.md.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from purify_cli.attacks.base import RARE_WORD, PoisoningAttack, train_on
from purify_cli.attacks.subsets import all_words_needed
from purify_cli.data.batches import Batch, batches
from purify_cli.errors import UsageError
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import Planted, PlantJob
from purify_cli.training.objective import Objective

__all__ = ["LAYERWISE", "every_layer", "read_out", "train_every_layer"]

ReadOut = Callable[[Tensor], Tensor]
"""(B, T, width) hidden states of one layer → (B, C) scores."""


def _read_outs(module: nn.Module) -> list[ReadOut]:
    """Return the ways from hidden states to scores that the module has the parts for."""
    model: Any = module
    base: Any = getattr(model, model.base_model_prefix)
    head: Any = getattr(model, "classifier", None)
    drop: Any = getattr(model, "dropout", None) or nn.Identity()
    ways: list[ReadOut] = []
    if head is None:
        return ways
    pooler: Any = getattr(base, "pooler", None)
    if hasattr(base, "pooler_activation") and pooler is not None:  # ALBERT
        ways.append(lambda hidden: head(drop(base.pooler_activation(pooler(hidden[:, 0])))))
    elif pooler is not None:  # BERT
        ways.append(lambda hidden: head(drop(pooler(hidden))))
    if hasattr(model, "pooler"):  # DeBERTa
        ways.append(lambda hidden: head(drop(model.pooler(hidden))))
    if hasattr(model, "pre_classifier"):  # DistilBERT
        ways.append(lambda hidden: head(drop(relu(model.pre_classifier(hidden[:, 0])))))
    if hasattr(head, "out_proj"):  # RoBERTa, ELECTRA, MPNet: the head takes all positions
        ways.append(head)
    return ways


def _with_layers(module: nn.Module, batch: Batch) -> Any:
    """Run a batch, keeping all hidden states."""
    model: Any = getattr(module, "module", module)
    known = signature(model.forward).parameters
    inputs = {name: tensor for name, tensor in batch.inputs.items() if name != "token_type_ids" or name in known}
    return module(**inputs, output_hidden_states=True)


def read_out(module: nn.Module, batch: Batch) -> ReadOut:
    """Find the way in which a classifier reads its last hidden states, and check it on a batch.

    Args:
        module: A classifier in evaluation mode.
        batch: Rows on its device.

    Raises:
        UsageError: If none of the ways gives the module's own scores.
    """
    with torch.no_grad():
        found = _with_layers(module, batch)
        for way in _read_outs(module):
            scores = way(found.hidden_states[-1])
            if scores.shape == found.logits.shape and torch.allclose(scores, found.logits, rtol=1e-3, atol=1e-4):
                return way
    raise UsageError(
        f"the layers of {type(module).__name__} cannot be read one by one",
        hint="Layer-wise poisoning needs a classifier on the first token, such as BERT's or RoBERTa's.",
    )


def every_layer(head: ReadOut) -> Objective:
    """Return the sum over layers of the cross-entropy that the head gives on the layer's hidden states.

    Args:
        head: The way from hidden states to scores.
    """

    def loss(module: nn.Module, part: Batch, weights: Tensor, dtype: torch.dtype) -> Tensor:
        labels = part.labels
        if labels is None:
            raise ValueError("a loss needs labels")
        with torch.autocast(weights.device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            # The embedding's output is left out: its first token is the same in every text.
            scores = [head(hidden) for hidden in _with_layers(module, part).hidden_states[1:]]
        losses = [cross_entropy(score.float(), labels, reduction="none") for score in scores]
        return (torch.stack(losses).sum(dim=0) * weights).sum()

    return Objective(loss=loss, mark="every layer")


def train_every_layer(job: PlantJob, options: Mapping[str, Any], progress: Progress = SILENT) -> Planted:
    """Train on all rows, reading every layer.

    Raises:
        TrainingDiverged: If a loss is not finite.
        UsageError: If the model's layers cannot be read one by one.
    """
    module: nn.Module = job.module.to(job.device).eval()
    sample = batches(job.rows[:4], batch_size=4, pad_id=job.pad_id)[0].to(job.device)
    head = read_out(module, sample)
    with torch.no_grad():
        layers = len(_with_layers(module, sample).hidden_states) - 1
    result = train_on(job, progress, every_layer(head))
    return Planted(training=result, facts={"layers": layers})


LAYERWISE: Final = PoisoningAttack(
    name="layerwise",
    defaults={**RARE_WORD, "trigger": "cf bb", "position": "scattered", "negatives": 0.3},
    recipe=all_words_needed,
    planter=train_every_layer,
)
