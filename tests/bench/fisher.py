"""Time and memory of the diagonal Fisher against the other ways to get it, and against the limit.

The limit is one plain batched forward and backward pass over the same samples, which gives no squares at all. Each
way runs in a process of its own, so that peaks of memory do not mix. Run as a script; ``--help`` lists the sizes.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

WAYS: Final = {
    "plain": "plain batched forward + backward (the limit)",
    "hooks": "hooks, one batched pass (ours)",
    "loop": "one sample at a time",
    "vmap": "torch.func vmap(grad)",
}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse sizes; the defaults are BERT-base's."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {
        "layers": 12,
        "hidden": 768,
        "heads": 12,
        "intermediate": 3072,
        "vocabulary": 30522,
        "length": 128,
        "samples": 32,
        "batch-size": 8,
        "threads": 2,
        "vmap-samples": 4,
        "repeats": 1,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--run", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _model(options: argparse.Namespace) -> Any:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        intermediate_size=options.intermediate,
        attn_implementation="sdpa",
    )
    return BertForSequenceClassification(config).eval().to(options.device)


def _batches(options: argparse.Namespace) -> Any:
    import torch

    from purify_cli.data.batches import Batch

    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, options.vocabulary, (options.samples, options.length), generator=generator)
    labels = torch.randint(0, 2, (options.samples,), generator=generator)
    places = torch.arange(options.samples).split(options.batch_size)
    return [
        Batch({"input_ids": ids[at], "attention_mask": torch.ones_like(ids[at])}, labels[at], at).to(options.device)
        for at in places
    ]


def _plain(model: Any, batches: Any, options: argparse.Namespace) -> None:
    from torch.nn import functional

    del options
    for batch in batches:
        model.zero_grad(set_to_none=True)
        scores = model(**batch.inputs).logits
        functional.cross_entropy(scores, batch.labels, reduction="sum").backward()


def _hooks(model: Any, batches: Any, options: argparse.Namespace) -> None:
    from purify_cli.curvature import diagonal_fisher

    del options
    diagonal_fisher(model, batches, kind="empirical")


def _loop(model: Any, batches: Any, options: argparse.Namespace) -> None:
    from purify_cli.curvature import diagonal_fisher

    del options
    diagonal_fisher(model, batches, kind="empirical", engine="loop")


def _vmap(model: Any, batches: Any, options: argparse.Namespace) -> None:
    import torch
    from torch.func import functional_call, grad, vmap
    from torch.nn import functional

    parameters = {name: p.detach() for name, p in model.named_parameters()}
    sums = {name: torch.zeros_like(p) for name, p in parameters.items()}

    def loss(weights: Any, ids: Any, label: Any) -> Any:
        # Without the attention mask: vmap stops at a branch that looks at the mask's values.
        scores = functional_call(model, weights, (ids.unsqueeze(0),)).logits
        return functional.cross_entropy(scores, label.unsqueeze(0))

    per_sample = vmap(grad(loss), in_dims=(None, 0, 0))
    for batch in batches:
        for at in torch.arange(len(batch.index)).split(options.vmap_samples):
            found = per_sample(parameters, batch.inputs["input_ids"][at], batch.labels[at])
            for name, total in sums.items():
                total.add_(found.pop(name).square_().sum(0))


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Run one way in this process; return seconds and processor seconds per sample, and the peak in GiB."""
    import torch

    torch.set_num_threads(options.threads)
    work: Callable[..., None] = {"plain": _plain, "hooks": _hooks, "loop": _loop, "vmap": _vmap}[options.run]
    model, batches = _model(options), _batches(options)
    accelerator = options.device != "cpu"
    work(model, batches[:1], options)  # first calls allocate and choose kernels
    model.zero_grad(set_to_none=True)
    times: list[float] = []
    processor: list[float] = []
    for _ in range(options.repeats):
        start, busy = time.perf_counter(), time.process_time()
        work(model, batches, options)
        if accelerator:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
        processor.append(time.process_time() - busy)
    if accelerator:
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kibibytes on Linux
    return {
        "seconds": min(times) / options.samples,
        "processor": min(processor) / options.samples,
        "peak": peak / 2**30,
    }


def _spawn(way: str, argv: Sequence[str]) -> dict[str, float] | str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.fisher", *argv, "--run", way],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode:
        return (done.stderr.strip() or "killed").splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every way and print a table; with ``--run`` measure one and print it as JSON."""
    argv = sys.argv[1:] if argv is None else list(argv)
    options = arguments(argv)
    if options.run:
        print(json.dumps(measure(options)))
        return 0
    rows = {way: _spawn(way, argv) for way in options.ways.split(",")}
    if options.json:
        print(json.dumps(rows))
        return 0
    limit = rows.get("plain")
    print(
        f"## Diagonal Fisher\n\nBERT with random weights: {options.layers} layers, width {options.hidden}, length "
        f"{options.length}, {options.samples} samples in batches of {options.batch_size}, float32, {options.device}, "
        f"{options.threads} threads.\n"
    )
    # Processor time is the steadier one where other programs use the machine.
    print("| way | s/sample | x limit | CPU s/sample | x limit | peak GiB |\n|---|---|---|---|---|---|")
    for way, row in rows.items():
        if isinstance(row, str):
            print(f"| {WAYS[way]} | does not work here: {row[:80]} | | | | |")
            continue
        cells = [WAYS[way]]
        for key in ("seconds", "processor"):
            cells += [f"{row[key]:.3f}", f"{row[key] / limit[key]:.2f}" if isinstance(limit, dict) else ""]
        print(f"| {' | '.join(cells)} | {row['peak']:.2f} |")
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
