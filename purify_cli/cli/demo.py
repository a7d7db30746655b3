"""``purify demo``."""

from pathlib import Path
from typing import Annotated

import typer

from purify_cli.cli import options as o
from purify_cli.cli.console import show, talk

__all__ = ["command"]

DemoRun = Annotated[Path | None, typer.Option("--run", help="Folder of the demo. [default: purify-demo]")]


def command(
    *,
    run: DemoRun = None,
    form: o.OutputFormat = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    dtype: o.Dtype = o.Precision.auto,
    quiet: o.Quiet = False,
) -> None:
    """Poison, detect, fine-tune, purify and measure a small sentiment model, on texts that come with the package.

    Takes a few minutes on two cores. Needs the reference `minilm`; everything is left in the folder purify-demo
    (or --run) to look at.
    """
    from purify_cli.commands.demo import demo
    from purify_cli.session.run_folder import RunFolder

    common = o.common(device=device, dtype=dtype, seed=seed, max_length=64)
    folder = RunFolder((run or Path("purify-demo")).absolute())
    show(demo(folder, common, talk(quiet=quiet)), form, verbose=False)
