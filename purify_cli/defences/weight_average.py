"""WAG: the plain average of several models, even where each of them holds a backdoor of its own.

Arora, He, Mozes, Swain, Dras, Xu: "Here's a Free Lunch: Sanitizing Backdoored Models with Model Merge", Findings of ACL
2024, arXiv:2402.19334. Without further models the suspect is averaged with its reference.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from torch import Tensor

from purify_cli.checkpoint.aligned import CheckpointPair
from purify_cli.checkpoint.names import canonical, is_buffer
from purify_cli.checkpoint.reader import Checkpoint
from purify_cli.checkpoint.unique import unique_names
from purify_cli.errors import PairError
from purify_cli.model.configs import label_set
from purify_cli.progress import Progress
from purify_cli.protocols import WeightDefence, WeightDefenceInputs, WeightEdit
from purify_cli.tensors import Computed, TensorSource

__all__ = ["WEIGHT_AVERAGE"]


def _mean(
    base: TensorSource,
    others: Sequence[tuple[TensorSource, Mapping[str, str]]],
    entries: Mapping[str, int],
    tied: Mapping[str, str],
) -> TensorSource:
    """Return a source of means; tensors, and rows, that the others lack are the base's.

    Args:
        base: The suspect.
        others: Sources, each with the base's name → the source's.
        entries: Name → how many of its first entries all of them hold.
        tied: Second copy of a tied tensor → the first.
    """

    def averaged(name: str, start: int, stop: int) -> Tensor:
        first, values = tied.get(name, name), base.read(name, start, stop)
        end = min(stop, entries.get(first, 0))
        if start < end:
            # float64: the mean of equal values is that value, and the order of the models does not matter.
            total = values[: end - start].double()
            for source, names in others:
                total += source.read(names[first], start, end).double()
            values[: end - start] = (total / (1 + len(others))).to(values.dtype)
        return values

    return Computed(base.specs, averaged)


def _prepare(inputs: WeightDefenceInputs, progress: Progress) -> Callable[[float | None], WeightEdit]:
    """Match the tensors of all models by name; a ratio has no meaning here.

    Raises:
        PairError: If a model lacks a tensor of the suspect, has one of another shape, or names other labels.
    """
    del progress
    pair: CheckpointPair = inputs.pair
    if not inputs.others:
        entries = {name: one.entries for name, one in pair.comparables.items()}
        mean = _mean(inputs.weights, [(pair.reference_part, {name: name for name in entries})], entries, pair.tied)
        facts = {"models": 2, "with": "reference"}
        edit = WeightEdit(weights=mean, per_tensor=entries, facts=facts)
        return lambda _: edit
    # Copies of tied tensors follow the tensor they copy.
    own = {
        canonical(name): name
        for name, spec in inputs.weights.specs.items()
        if name not in pair.tied and not is_buffer(spec)
    }
    labels = _labels(pair.suspect)
    matched: list[tuple[TensorSource, Mapping[str, str]]] = []
    agreed = labels is not None
    for at, other in enumerate(inputs.others, start=1):
        matched.append((other, _match(own, inputs.weights, other, f"model {at} of --with")))
        theirs = _labels(other)
        if labels is not None and theirs is not None and labels != theirs:
            raise PairError(
                f"model {at} of --with has the labels {', '.join(theirs)}, the suspect {', '.join(labels)}",
                hint="Only classifiers of one task with the labels in one order can be averaged.",
            )
        agreed = agreed and theirs is not None
    entries = {name: inputs.weights.specs[name].numel for name in own.values()}
    facts = {"models": 1 + len(matched), "with": "other models", "labels named by all": agreed}
    mean = _mean(inputs.weights, matched, entries, pair.tied)
    edit = WeightEdit(weights=mean, per_tensor=entries, facts=facts)
    return lambda _: edit


def _labels(source: TensorSource) -> tuple[str, ...] | None:
    """Return the label names that a model's config gives; None where it gives none of its own."""
    if not isinstance(source, Checkpoint):
        return None
    names = label_set(source).label_names
    return None if names == tuple(f"LABEL_{i}" for i in range(len(names))) else names


def _match(own: Mapping[str, str], base: TensorSource, other: TensorSource, side: str) -> dict[str, str]:
    theirs = unique_names(other, side=side, error=PairError).chosen
    names: dict[str, str] = {}
    for short, name in own.items():
        found = theirs.get(short)
        shape = None if found is None else other.specs[found].shape
        if found is None or shape != base.specs[name].shape:
            has = "no such tensor" if shape is None else f"{list(shape)}"
            raise PairError(
                f"{side} does not have the shape of the suspect: {name} is {list(base.specs[name].shape)}, there {has}",
                hint="Only classifiers of one architecture, one vocabulary and one task can be averaged.",
            )
        names[name] = found
    return names


WEIGHT_AVERAGE: Final = WeightDefence(name="weight-average", prepare=_prepare, takes_others=True)
"""Average of the suspect and all other models, or of suspect and reference where there are none."""
