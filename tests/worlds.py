"""A repair session, and ears that remember what they are told."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from purify_cli.inputs.identity import ModelFacts
from purify_cli.inputs.opening import open_pair
from purify_cli.inputs.run_folder import RunFolder
from purify_cli.inputs.task import open_task
from purify_cli.progress import SILENT, Progress
from purify_cli.purification.repair_session import RepairSession
from purify_cli.requests.common import Common
from purify_cli.runtime import Compute

T = TypeVar("T")


class Ears:
    """A listener that keeps every note."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def track(self, items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
        yield from items

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def open_bench(
    suspect: Path, reference: Path, folder: Path, progress: Progress = SILENT, *, seed: int = 0
) -> RepairSession:
    """Open a pair with the options that ``purify purify`` has by default."""
    common = Common(compute=Compute(seed=seed, batch_size=16))
    models = [ModelFacts(path=str(path), sha256="") for path in (suspect, reference)]
    opened = open_pair(*models, common, SILENT)
    return RepairSession(opened, open_task(opened, common), common, RunFolder(folder), progress)
