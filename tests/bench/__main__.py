"""``make bench``: every benchmark, one after the other; prints the tables and writes docs/benchmarks.md."""

import io
import os
import platform
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import torch

from tests.bench import fisher, startup, streaming

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


class Tee(io.StringIO):
    """Keep what is printed, and print it."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)
        sys.__stdout__.flush()
        return super().write(text)


def main() -> None:
    """Run all; a part that fails leaves the page as it was."""
    kept = Tee()
    with redirect_stdout(kept):
        startup.main()
        streaming.main([])
        fisher.main([])
        fisher.main(["--length", "32"])
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=PAGE.parent, capture_output=True, text=True, check=True).stdout.strip()
    head = (
        "# Benchmarks\n\nWritten by `make bench`. "
        f"Commit {commit}, torch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores. "
        "Every row is measured in a process of its own; ratios are to the row marked as the limit.\n\n"
    )
    PAGE.write_text(head + kept.getvalue().strip() + "\n")


if __name__ == "__main__":
    main()
