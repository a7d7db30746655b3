"""How long `purify --help` takes, beside the bare import of the library that draws it."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

REPEATS = 11


def seconds(*command: str) -> float:
    """Median wall time of a command in a fresh process."""
    times: list[float] = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row."""
    del arguments
    ours, limit = seconds("-m", "purify_cli", "--help"), seconds("-c", "import typer")
    print("## start-up (median of 11 processes)\n")
    print("| command | seconds | ratio |\n|---|---|---|")
    print(f"| `purify --help` | {ours:.3f} | {ours / limit:.2f} |")
    print(f'| `python -c "import typer"` (the limit) | {limit:.3f} | 1 |\n')


if __name__ == "__main__":
    main()
