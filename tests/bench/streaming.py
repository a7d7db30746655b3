"""Selection, reset and write of a sharded pair, beside `cp` of the same bytes and beside loading everything.

Each contender runs in a process of its own; its peak is VmHWM of the kernel, which counts mapped pages too. The pair is
written to a temporary folder (``TMPDIR`` says where), which needs about 2.5 times its size; pages that fit stay in the
page cache for every contender alike.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from purify_cli.checkpoint.filenames import INDEX
from purify_cli.checkpoint.pair import pair_checkpoints
from purify_cli.checkpoint.reader import open_checkpoint
from purify_cli.checkpoint.staging import staged_folder
from purify_cli.checkpoint.writer import write_model, write_tensors
from purify_cli.indicators.drift import DRIFT
from purify_cli.protocols import IndicatorInputs
from purify_cli.reset import reset_to_reference
from purify_cli.selection.files import write_mask
from purify_cli.selection.mask import build_mask, count_for
from purify_cli.tensors import TensorSpec

RATIO: Final = 0.1
WIDTH: Final = 4096
SHARDS: Final = 4
DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def peak_bytes() -> int:
    """Largest resident memory of this process so far, mapped pages included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not report VmHWM")


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Random weights made piece by piece; the suspect is the reference plus a small random drift."""

    specs: Mapping[str, TensorSpec]
    suspect: bool

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Draw entries ``start`` to ``stop``."""
        spec = self.specs[name]
        stop = spec.numel if stop is None else stop
        key = hash((name, start)) & 0x7FFFFFFF
        values = torch.randn(stop - start, generator=torch.Generator().manual_seed(key)).mul_(0.02)
        if self.suspect:
            values += torch.randn(stop - start, generator=torch.Generator().manual_seed(key + 1)).mul_(1e-3)
        return values.to(spec.dtype)


def shards_of(size: int, dtype: torch.dtype) -> Iterator[tuple[str, dict[str, TensorSpec]]]:
    """Lay out square matrices over the shards of a model of about ``size`` bytes."""
    width = WIDTH if size >= 1 << 30 else WIDTH // 8
    layers = max(SHARDS, size // (width * width * dtype.itemsize))
    for shard in range(SHARDS):
        names = [f"layers.{i}.dense.weight" for i in range(layers * shard // SHARDS, layers * (shard + 1) // SHARDS)]
        specs = {name: TensorSpec(name, dtype, (width, width)) for name in names}
        yield f"model-{shard + 1:05d}-of-{SHARDS:05d}.safetensors", specs


def make_model(folder: Path, size: int, dtype: torch.dtype, *, suspect: bool) -> None:
    """Write a sharded model with its index."""
    folder.mkdir()
    table: dict[str, str] = {}
    for file, specs in shards_of(size, dtype):
        write_tensors(folder / file, Synthetic(specs, suspect), metadata={"format": "pt"})
        table |= dict.fromkeys(specs, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": table}))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


def ours(folder: Path) -> dict[str, float]:
    """Stream: select by |δ|, reset, write; the mask is written too."""
    begin = time.perf_counter()
    with open_checkpoint(str(folder / "suspect")) as suspect, open_checkpoint(str(folder / "reference")) as reference:
        pair = pair_checkpoints(suspect, reference)
        scores = DRIFT.fit(IndicatorInputs(suspect=pair.suspect_part, reference=pair.reference_part))
        paired = time.perf_counter()
        mask = build_mask(scores, RATIO)
        write_mask(folder / "mask.safetensors", mask, {})
        chosen = time.perf_counter()
        with staged_folder(folder / "out", overwrite=False) as stage:
            write_model(
                stage,
                reset_to_reference(pair, mask),
                like=suspect,
                config={},
                tokenizer=reference.files,
                metadata={},
            )
    end = time.perf_counter()
    return {
        "seconds": end - begin,
        "open": paired - begin,
        "select": chosen - paired,
        "write": end - chosen,
        "count": mask.count,
    }


def everything(folder: Path) -> dict[str, float]:
    """Load both models whole, take the k-th value of all drifts, save."""
    from safetensors.torch import load_file, save_file

    begin = time.perf_counter()
    files = sorted(path.name for path in (folder / "suspect").glob("*.safetensors"))
    suspect = {file: load_file(folder / "suspect" / file) for file in files}
    reference = {file: load_file(folder / "reference" / file) for file in files}
    drifts = torch.cat(
        [
            (one.float() - reference[file][name].float()).abs_().flatten()
            for file, tensors in suspect.items()
            for name, one in tensors.items()
        ]
    )
    count = count_for(RATIO, drifts.numel())
    cut = torch.kthvalue(drifts, drifts.numel() - count + 1).values
    del drifts
    (folder / "out").mkdir()
    for file, tensors in suspect.items():
        for name, one in tensors.items():
            original = reference[file][name]
            tensors[name] = torch.where((one.float() - original.float()).abs_() >= cut, original, one)
        save_file(tensors, folder / "out" / file)
        with (folder / "out" / file).open("rb") as written:
            os.fsync(written.fileno())
    return {"seconds": time.perf_counter() - begin}


CONTENDERS: Final[Mapping[str, Callable[[Path], dict[str, float]]]] = {"ours": ours, "everything": everything}


def copy(folder: Path, *models: str) -> float:
    """Seconds that ``cp`` takes for these models, with the bytes on disk at the end as for the others."""
    target = folder / "out"
    target.mkdir()
    begin = time.perf_counter()
    subprocess.run(["cp", "-r", *(str(folder / model) for model in models), str(target)], check=True)
    for path in target.rglob("*.safetensors"):
        with path.open("rb") as written:
            os.fsync(written.fileno())
    return time.perf_counter() - begin


def settle(folder: Path) -> None:
    """Forget the output and let disk and page cache come to rest.

    Pages that a contender has just freed would be handed to the next one at once; in a virtual machine, whose host
    takes free pages back after two seconds, that is worth a factor of three to whoever comes next.
    """
    shutil.rmtree(folder / "out", ignore_errors=True)
    os.sync()
    time.sleep(3)


def contend(name: str, folder: Path) -> dict[str, float]:
    """Run a contender in a fresh process."""
    command = [sys.executable, "-m", "tests.bench.streaming", "--contender", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def compare(folder: Path, size: int, dtype: str, *, load: bool, rounds: int) -> None:
    """Make the pair, run everybody in turn, print the table."""
    free, needed = shutil.disk_usage(folder).free, int(4.5 * size)
    if free < needed:
        raise SystemExit(f"{folder} has {free / 1e9:.1f} GB free, and this needs {needed / 1e9:.1f} GB")
    for name in ("suspect", "reference"):
        make_model(folder / name, size, DTYPES[dtype], suspect=name == "suspect")
    both: list[float] = []
    one: list[float] = []
    streamed: list[dict[str, float]] = []
    for _ in range(rounds):
        settle(folder)
        both.append(copy(folder, "suspect", "reference"))
        settle(folder)
        streamed.append(contend("ours", folder))
        settle(folder)
        one.append(copy(folder, "suspect"))
    limit = statistics.median(both)
    ours = sorted(streamed, key=lambda run: run["seconds"])[rounds // 2]
    peak = max(run["peak"] for run in streamed)
    rows: list[tuple[str, float, float | None]] = [
        ("`cp` of the pair (reads both models, writes both)", limit, None),
        ("`cp` of one model (the bytes that we write)", statistics.median(one), None),
        ("select + mask + reset + write, streamed", ours["seconds"], peak),
    ]
    if load:
        settle(folder)
        whole = contend("everything", folder)
        rows.append(("load everything, `kthvalue`, save (one run)", whole["seconds"], whole["peak"]))
    settle(folder)
    print(f"## streaming ({dtype}, 2 × {size / 1e9:.2f} GB in {SHARDS} shards each, ratio {RATIO})\n")
    print(f"All with fsync; median of {rounds} rounds, every contender once per round.\n")
    print("| contender | seconds | relative to `cp` of the pair | peak MB |\n|---|---|---|---|")
    for label, seconds, memory in rows:
        print(
            f"| {label} | {seconds:.2f} | {seconds / limit:.2f} | {'' if memory is None else f'{memory / 1e6:.0f}'} |"
        )
    parts = ", ".join(f"{part} {ours[part]:.2f} s" for part in ("open", "select", "write"))
    spread = f"{min(both):.2f} to {max(both):.2f} s"
    print(f"\nOurs: {parts}; {ours['base'] / 1e6:.0f} MB of the peak are Python and torch before the first read.")
    print(f"`cp` of the pair took {spread}, ours {streamed_range(streamed)}.\n")


def streamed_range(runs: Sequence[Mapping[str, float]]) -> str:
    """Shortest and longest run, as text."""
    seconds = [run["seconds"] for run in runs]
    return f"{min(seconds):.2f} to {max(seconds):.2f} s"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=2e9, help="bytes per model (default 2e9)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--rounds", type=int, default=3, help="runs per contender; the median counts (default 3)")
    parser.add_argument("--no-load", action="store_true", help="leave out the contender that loads everything")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.contender:
        base = peak_bytes()
        result = CONTENDERS[given.contender](given.folder)
        print(json.dumps({**result, "peak": peak_bytes(), "base": base}))
        return
    with tempfile.TemporaryDirectory(prefix="purify-bench-") as folder:
        compare(Path(folder), int(given.size), given.dtype, load=not given.no_load, rounds=given.rounds)


if __name__ == "__main__":
    main()
