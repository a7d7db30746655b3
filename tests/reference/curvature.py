"""Curvature by definition: one sample at a time, every class in turn, and dense second derivatives."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from purify_cli.data.batches import Batch

Scalar = Callable[[nn.Module, Batch], Tensor]


def single(batches: Iterable[Batch]) -> Iterator[Batch]:
    for batch in batches:
        for i in range(len(batch.index)):
            yield batch.take(slice(i, i + 1))


def unpadded(batch: Batch) -> Batch:
    """Cut the padding off a batch of one."""
    keep = int(batch.inputs["attention_mask"].sum())
    return replace(batch, inputs={name: t[:, :keep] for name, t in batch.inputs.items()})


def gradients(module: nn.Module, scalar: Tensor) -> dict[str, Tensor]:
    """Gradient of one scalar by ordinary ``backward``; zero where there is none."""
    module.zero_grad(set_to_none=True)
    scalar.backward(retain_graph=True)
    found = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in module.named_parameters()}
    module.zero_grad(set_to_none=True)
    return found


def mean_squares(module: nn.Module, batches: Iterable[Batch], scalar: Scalar) -> tuple[dict[str, Tensor], float]:
    """Return the mean over samples of squared gradients, and the effective number of samples."""
    return _mean([_squares(gradients(module, scalar(module, one).sum())) for one in single(batches)])


def empirical(module: nn.Module, batches: Iterable[Batch]) -> tuple[dict[str, Tensor], float]:
    def loss(module: nn.Module, one: Batch) -> Tensor:
        return -module(**one.inputs).logits.log_softmax(-1)[0, one.labels]

    return mean_squares(module, batches, loss)


def true(module: nn.Module, batches: Iterable[Batch]) -> tuple[dict[str, Tensor], float]:
    """Σ_c p_c (∂ log p_c)², with one backward pass per class."""
    samples: list[dict[str, Tensor]] = []
    for one in single(batches):
        logp = module(**one.inputs).logits.log_softmax(-1)[0]
        squares = [(_squares(gradients(module, entry)), entry.detach().exp()) for entry in logp]
        samples.append({name: sum(p * square[name] for square, p in squares) for name in squares[0][0]})
    return _mean(samples)


def _squares(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: gradient.square() for name, gradient in found.items()}


def _mean(samples: list[dict[str, Tensor]]) -> tuple[dict[str, Tensor], float]:
    traces = torch.tensor([sum(float(t.double().sum()) for t in sample.values()) for sample in samples])
    means = {name: torch.stack([sample[name] for sample in samples]).mean(0) for name in samples[0]}
    return means, float(traces.sum() ** 2 / traces.square().sum())


def dense_hessian(module: nn.Module, loss: Callable[[], Tensor]) -> Tensor:
    """The whole Hessian of ``loss()``, over all parameters in order, flattened."""
    weights = list(module.parameters())
    first = torch.autograd.grad(loss(), weights, create_graph=True)
    flat = torch.cat([gradient.reshape(-1) for gradient in first])
    rows: list[Tensor] = []
    for entry in flat:
        row = torch.autograd.grad(entry, weights, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([(torch.zeros_like(w) if r is None else r).reshape(-1) for r, w in zip(row, weights)]))  # noqa: B905
    return torch.stack(rows)
