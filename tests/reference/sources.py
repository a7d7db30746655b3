"""Tensor sources that tests look through."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from purify_cli.tensors import InMemory, TensorSource, TensorSpec


@dataclass
class Recorder:
    """A source that notes what is read of it."""

    source: TensorSource
    reads: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        return self.source.specs

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        stop = self.specs[name].numel if stop is None else stop
        self.reads.append((name, start, stop))
        return self.source.read(name, start, stop)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def memory(**tensors: Tensor) -> InMemory:
    """Hold tensors; two underscores in a name stand for a dot."""
    return InMemory({name.replace("__", "."): tensor for name, tensor in tensors.items()})


def piecewise(source: TensorSource, name: str, cuts: Iterable[int]) -> Tensor:
    """Read a tensor in pieces that end at these places."""
    numel = source.specs[name].numel
    places = [0, *sorted(cuts), numel]
    return torch.cat([source.read(name, a, b) for a, b in pairwise(places)])


def auroc(scores: Tensor, positive: Tensor) -> float:
    """Probability that a positive scores above a negative (no ties assumed)."""
    ranks = torch.empty(len(scores), dtype=torch.float64)
    ranks[scores.argsort()] = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    count = int(positive.sum())
    return float(ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(scores) - count))
