"""Fine-pruning: the units that clean text uses least are set to zero, then the model is fine-tuned.

Liu, Dolan-Gavitt, Garg: "Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks", RAID 2018,
arXiv:1805.12185, on convolutional networks. The port to transformers is ours: docs/methods/fine-pruning.md.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from purify_cli.data.batches import Batch, batches
from purify_cli.defences.units import Units, find_units
from purify_cli.errors import CheckpointError, DataError, UsageError
from purify_cli.model import LoadedModel, logits
from purify_cli.model.tokenizer import pad_id
from purify_cli.progress import Progress
from purify_cli.protocols import WeightDefence, WeightDefenceInputs, WeightEdit
from purify_cli.selection.mask import count_for
from purify_cli.tensors import Computed

__all__ = ["FINE_PRUNING", "mean_activations"]

_RATIO: Final = 0.3
"""Share of the units that is pruned where none is given."""


def mean_activations(module: nn.Module, units: Sequence[Units], texts: Iterable[Batch]) -> list[Tensor]:
    """Average the size of every unit's activation over all tokens of all texts, padding left out.

    Args:
        module: Classifier on the device, in evaluation mode.
        units: As ``find_units`` gives them for this module.
        texts: At least one batch, on the module's device.

    Returns:
        For each group of units, shape (count,), float64, CPU: the mean of |activation|; of pooler units over texts.

    Raises:
        DataError: If an activation is NaN or infinite.
        CheckpointError: If a block sees other rows than the tokens of the batch.
    """
    sums = [torch.zeros(group.count, dtype=torch.float64) for group in units]
    seen = [0] * len(units)
    mask = torch.empty(0, dtype=torch.bool)

    def look(at: int, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        values = given[0].detach().reshape(-1, units[at].count)
        if len(values) == mask.numel():
            values = values[mask.reshape(-1)]
        elif len(values) != len(mask):
            raise CheckpointError(
                f"{units[at].name} sees {len(values)} rows of a batch of {mask.numel()} tokens",
                hint="A config with chunk_size_feed_forward does this; use another --method.",
            )
        # On the CPU, whatever the device: Apple's GPUs have no float64.
        sums[at] += values.abs().cpu().sum(0, dtype=torch.float64)
        seen[at] += len(values)

    with ExitStack() as hooks:
        for at, group in enumerate(units):
            hooks.enter_context(module.get_submodule(group.name).register_forward_pre_hook(partial(look, at)))
        for batch in texts:
            mask = batch.inputs["attention_mask"].bool()
            with torch.no_grad():
                logits(module, batch)
    means = [total / max(count, 1) for total, count in zip(sums, seen, strict=True)]
    if not all(bool(torch.isfinite(mean).all()) for mean in means):
        raise DataError("the activations on the clean samples are not finite", hint="Look at the suspect's weights.")
    return means


def _belongs(shape: tuple[int, ...], cuts: Sequence[tuple[int, Tensor]], start: int, stop: int) -> Tensor:
    """Tell which of the entries ``start`` to ``stop`` of a tensor belong to a pruned unit.

    Args:
        shape: Of the tensor.
        cuts: (axis, shape (units,) bool: pruned).
        start: First entry.
        stop: Behind the last one.
    """
    index = torch.arange(start, stop)
    found = torch.zeros(stop - start, dtype=torch.bool)
    for axis, units in cuts:
        inner = shape[1] if len(shape) > 1 and axis == 0 else 1
        found |= units[index.div(inner, rounding_mode="floor") % len(units)]
    return found


def _prepare(inputs: WeightDefenceInputs, progress: Progress) -> Callable[[float | None], WeightEdit]:
    """Find the units and average their activations over the clean texts.

    Returns:
        Prunes round(ratio · U) of all U units, the most dormant first; the sets for growing ratios are nested.

    Raises:
        UsageError: If there are no clean texts.
        CheckpointError: If the architecture's units are not known.
    """
    if not inputs.texts:
        raise UsageError(
            "fine-pruning ranks units by their activations on clean text, and there is none",
            hint="Give --clean-data FILE.",
        )
    loaded: LoadedModel = inputs.load(inputs.weights)
    units = find_units(loaded.module, pooler=inputs.settings["pooler"])
    padding = pad_id(inputs.pad_id, loaded.module)
    grouped = batches(inputs.texts, batch_size=inputs.batch_size, pad_id=padding)
    tracked = progress.track(grouped, "measuring activations", total=len(grouped))
    scores = torch.cat(mean_activations(loaded.module, units, (batch.to(inputs.device) for batch in tracked)))
    return partial(_pruned, inputs, units, loaded.names, scores)


def _pruned(
    inputs: WeightDefenceInputs,
    units: Sequence[Units],
    names: Mapping[str, str],
    scores: Tensor,
    ratio: float | None,
) -> WeightEdit:
    """Prune the most dormant units.

    Args:
        inputs: For the weights, their ties and whether pruned entries are frozen.
        units: As ``find_units`` gives them.
        names: Parameter name → the checkpoint's.
        scores: Shape (U,): mean activations, group by group.
        ratio: Share of the units; None is the default one.
    """
    total = len(scores)
    count = count_for(_RATIO if ratio is None else ratio, total)
    # Stable: equal units (dead ones) go in the order of the layers.
    chosen = torch.zeros(total, dtype=torch.bool)
    chosen[torch.argsort(scores, stable=True)[:count]] = True
    cuts: dict[str, list[tuple[int, Tensor]]] = {}
    pruned: dict[str, int] = {}
    for group, part in zip(units, chosen.split([group.count for group in units]), strict=True):
        pruned[group.name] = int(part.sum())
        for parameter, axis in group.cuts.items():
            cuts.setdefault(names[parameter], []).append((axis, part))
    base, tied = inputs.weights, inputs.pair.tied
    specs = base.specs

    def zeroed(name: str, start: int, stop: int) -> Tensor:
        first, values = tied.get(name, name), base.read(name, start, stop)
        if first not in cuts:
            return values
        return values.masked_fill_(_belongs(specs[first].shape, cuts[first], start, stop), 0.0)

    masks = {
        name: _belongs(specs[name].shape, own, 0, specs[name].numel).view(specs[name].shape)
        for name, own in cuts.items()
    }
    frozen = inputs.settings["frozen"]
    return WeightEdit(
        weights=Computed(specs, zeroed),
        per_tensor={name: int(mask.sum()) for name, mask in masks.items()},
        frozen=masks if frozen else {},
        facts={
            "units": total,
            "pruned": count,
            "pruned per layer": pruned,
            "highest activation pruned": float(scores[chosen].max()) if count else None,
            "frozen": frozen,
        },
    )


def _check(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if not isinstance(value, bool):
            raise UsageError(f"{name}={value} is neither True nor False", hint=f"Give --set {name}=False.")


FINE_PRUNING: Final = WeightDefence(
    name="fine-pruning",
    prepare=_prepare,
    ratio=_RATIO,
    defaults={"frozen": True, "pooler": True},
    check_values=_check,
)
"""Pruning of dormant units; the ratio is the share of all units.

Settings:
    frozen: Whether pruned entries stay zero while the model is tuned.
    pooler: Whether pooler outputs are units too.
"""
