"""Data sets of the hub, loaded by ``datasets``."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from purify_cli.data.columnar import class_names
from purify_cli.data.rows import Row, Table
from purify_cli.errors import DataError

__all__ = ["HUB_ID", "hub_table"]

HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(:[\w.-]+)?")
"""``name``, ``someone/name``, either with ``:configuration``."""


@contextmanager
def _quiet_datasets() -> Generator[Any]:
    """Import ``datasets`` with its bars and log lines off, and put both back: stderr belongs to the caller."""
    import datasets  # noqa: PLC0415 - takes seconds, and only the hub needs it
    from huggingface_hub import utils as hub  # noqa: PLC0415 - comes with it

    level = datasets.logging.get_verbosity()
    shown = [bars for bars in (datasets, hub) if not bars.are_progress_bars_disabled()]
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    for bars in shown:
        bars.disable_progress_bars()
    try:
        yield datasets
    finally:
        datasets.logging.set_verbosity(level)
        for bars in shown:
            bars.enable_progress_bars()


def hub_table(given: str) -> Table:
    """Load a data set.

    Args:
        given: ``name/of-data-set`` or ``name/of-data-set:config``, of which the part ``train`` is read.

    Raises:
        DataError: If it cannot be had or loaded.
    """
    name, _, config = given.partition(":")
    with _quiet_datasets() as datasets:
        try:
            loaded = datasets.load_dataset(name, config or None, split="train")
            rows = [Row(f"row {number}", dict(values)) for number, values in enumerate(loaded, start=1)]
        except (ConnectionError, FileNotFoundError) as error:
            raise DataError(
                f"there is no file {given!r}, and no data set of that name can be had from the hub",
                hint="Check the path; without a network, download the data set elsewhere and give the local file.",
            ) from error
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            reason = (str(error).splitlines() or ["no reason given"])[0]
            raise DataError(
                f"the hub data set {given!r} cannot be loaded ({reason})",
                hint="A configuration goes after a colon, as in nyu-mll/glue:sst2; a local file works as well.",
            ) from error
    features = getattr(loaded, "features", None) or {}
    named = {column: class_names(getattr(feature, "names", None)) for column, feature in features.items()}
    return Table(rows, {column: names for column, names in named.items() if names})
