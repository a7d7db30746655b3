"""A bench of seconds: files of moods, and plans over the tiny reference."""

import json
import multiprocessing
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from purify_cli.cli.app import main
from tests import tiny

BENCH = """\
[bench]
name = "small"
reference = "{reference}"
clean_per_class = [8]
max_length = 24
steps = 4
learning_rate = 1e-3
folds = 2
max_drops = [0.1, 1.0]
"""

TASK = """
[[task]]
name = "moods"
train = "train.jsonl"
test = "test.jsonl"
train_rows = 256
test_rows = 60
epochs = 3
learning_rate = 2e-3
"""

BADWORD = """
[[attack]]
name = "badword"
"""

SURGERY = """
[[attack]]
name = "surgery"
"""

TUNING = """
[[method]]
name = "fine-tuning"
"""

MIXING = """
[[method]]
name = "fine-mixing"
ratios = [0.1, 0.5]
"""


def write_data(folder: Path) -> Path:
    """Write the attacker's and defender's rows, and test rows that are in neither."""
    folder.mkdir(exist_ok=True)
    tiny.write_jsonl(folder / "train.jsonl", tiny.sentiment_examples(320, seed=20))
    tiny.write_jsonl(folder / "test.jsonl", tiny.sentiment_examples(80, seed=30))
    return folder


def write_plan(path: Path, reference: Path, *parts: str) -> Path:
    """Write the parts of a plan one after the other."""
    path.write_text("".join(parts).replace("{reference}", str(reference)))
    return path


def stored(results: Path) -> dict[str, dict[str, Any]]:
    """Read the rows that are whole; of two with one key the later."""
    *lines, _ = results.read_text().split("\n")
    return {row["key"]: row for row in map(json.loads, lines)}


def figures(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a row what may differ between two runs of the same plan."""
    return {name: value for name, value in row.items() if name not in {"seconds", "commit"}}


def process(target: Callable[..., object], *args: object) -> BaseProcess:
    """Start a process. A server that has imported everything forks each in milliseconds: there is time to kill many."""
    context = multiprocessing.get_context("forkserver")
    heavy = ("accelerate", "transformers.models.bert.modeling_bert", "purify_cli.bench.run")
    context.set_forkserver_preload([*heavy, "tests.bench_worlds"])
    made = context.Process(target=target, args=args)
    made.start()
    return made


def run_quietly(argv: list[str]) -> None:
    """Run the program as the whole work of a process, on one thread as the tests do."""
    torch.set_num_threads(1)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        code = main(argv)
    raise SystemExit(code)
