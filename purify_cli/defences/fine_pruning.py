"""Fine-pruning: the units that clean text uses least are set to zero, then the model is fine-tuned.

Liu, Dolan-Gavitt, Garg: "Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks", RAID 2018,
arXiv:1805.12185, on convolutional networks. The port to transformers is ours: docs/methods/fine-pruning.md.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.data.batches import batches
from purify_cli.defences.units import Units, find_units
from purify_cli.errors import CheckpointError, DataError, UsageError
from purify_cli.model.loading import LoadedModel, logits
from purify_cli.model.tokenizer import pad_id
from purify_cli.progress import SILENT, Progress
from purify_cli.protocols import WeightDefenceInputs, WeightEdit, merged
from purify_cli.selection.mask import count_for
from purify_cli.tensors import Combined, TensorSource

__all__ = ["FINE_PRUNING", "FinePruning", "RankedUnits", "mean_activations"]


def mean_activations(
    module: nn.Module,
    units: Sequence[Units],
    texts: Sequence[Any],
    *,
    batch_size: int,
    padding: int,
    device: torch.device,
    progress: Progress = SILENT,
) -> list[Tensor]:
    """Average the size of every unit's activation over all tokens of all texts, padding left out.

    Args:
        module: Classifier on the device, in evaluation mode.
        units: As ``find_units`` gives them for this module.
        texts: ``Encoded`` rows, at least one.
        batch_size: Texts per forward pass.
        padding: Token to pad with.
        device: Of the module.
        progress: Told about batches.

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
        grouped = batches(texts, batch_size=batch_size, pad_id=padding)
        for batch in progress.track(grouped, "measuring activations", total=len(grouped)):
            placed = batch.to(device)
            mask = placed.inputs["attention_mask"].bool()
            with torch.no_grad():
                logits(module, placed)
    means = [total / max(count, 1) for total, count in zip(sums, seen, strict=True)]
    if not all(bool(torch.isfinite(mean).all()) for mean in means):
        raise DataError("the activations on the clean samples are not finite", hint="Look at the suspect's weights.")
    return means


def _pruned(shape: tuple[int, ...], cuts: Sequence[tuple[int, Tensor]], start: int, stop: int) -> Tensor:
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


@final
@dataclass(frozen=True, slots=True)
class RankedUnits:
    """All units, the most dormant first."""

    base: TensorSource
    tied: Mapping[str, str]
    units: tuple[Units, ...]
    names: Mapping[str, str]
    """Parameter name → the checkpoint's."""
    scores: Tensor
    """Shape (U,): mean activations, group by group."""
    frozen: bool

    def weights(self, ratio: float | None) -> WeightEdit:
        """Prune round(ratio · U) units; the sets for growing ratios are nested."""
        total = len(self.scores)
        count = count_for(FINE_PRUNING.ratio if ratio is None else ratio, total)
        # Stable: equal units (dead ones) go in the order of the layers.
        chosen = torch.zeros(total, dtype=torch.bool)
        chosen[torch.argsort(self.scores, stable=True)[:count]] = True
        cuts: dict[str, list[tuple[int, Tensor]]] = {}
        pruned: dict[str, int] = {}
        for group, part in zip(self.units, chosen.split([group.count for group in self.units]), strict=True):
            pruned[group.name] = int(part.sum())
            for parameter, axis in group.cuts.items():
                cuts.setdefault(self.names[parameter], []).append((axis, part))
        specs = self.base.specs

        def zeroed(name: str, start: int, values: Tensor) -> Tensor:
            first = self.tied.get(name, name)
            if first not in cuts:
                return values
            return values.masked_fill_(_pruned(specs[first].shape, cuts[first], start, start + len(values)), 0.0)

        masks = {
            name: _pruned(specs[name].shape, own, 0, specs[name].numel).view(specs[name].shape)
            for name, own in cuts.items()
        }
        return WeightEdit(
            weights=Combined(zeroed, (self.base,), specs),
            per_tensor={name: int(mask.sum()) for name, mask in masks.items()},
            frozen=masks if self.frozen else {},
            facts={
                "units": total,
                "pruned": count,
                "pruned per layer": pruned,
                "highest activation pruned": float(self.scores[chosen].max()) if count else None,
                "frozen": self.frozen,
            },
        )


@final
class FinePruning:
    """Pruning of dormant units; the ratio is the share of all units.

    Settings:
        frozen: Whether pruned entries stay zero while the model is tuned.
        pooler: Whether pooler outputs are units too.
    """

    ratio: float = 0.3
    defaults: Mapping[str, Any] = {"frozen": True, "pooler": True}

    def check(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Lay settings over the defaults.

        Raises:
            UsageError: If a setting is unknown or neither true nor false.
        """
        chosen = merged("fine-pruning", self.defaults, settings, kind="method")
        for name, value in chosen.items():
            if not isinstance(value, bool):
                raise UsageError(f"{name}={value} is neither True nor False", hint=f"Give --set {name}=False.")
        return chosen

    def prepare(self, inputs: WeightDefenceInputs, progress: Progress = SILENT) -> RankedUnits:
        """Find the units and average their activations over the clean texts.

        Raises:
            UsageError: If a setting is wrong, or there are no clean texts.
            CheckpointError: If the architecture's units are not known.
        """
        settings = self.check(inputs.settings)
        if not inputs.texts:
            raise UsageError(
                "fine-pruning ranks units by their activations on clean text, and there is none",
                hint="Give --clean-data FILE.",
            )
        pair: CheckpointPair = inputs.pair
        loaded: LoadedModel = inputs.load(inputs.weights)
        units = find_units(loaded.module, pooler=settings["pooler"])
        means = mean_activations(
            loaded.module,
            units,
            inputs.texts,
            batch_size=inputs.batch_size,
            padding=pad_id(inputs.pad_id, loaded.module),
            device=inputs.device,
            progress=progress,
        )
        return RankedUnits(inputs.weights, pair.tied, units, loaded.names, torch.cat(means), settings["frozen"])


FINE_PRUNING: Final = FinePruning()
